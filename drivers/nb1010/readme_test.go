package nb1010

import (
	"testing"

	"loket/drivers/driverstest"
)

func TestReadmeHasItsHeadings(t *testing.T) { driverstest.Readme(t) }
