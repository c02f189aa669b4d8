package uru4000

import (
	"testing"

	"loket/drivers/driverstest"
)

func TestReadmeHasItsHeadings(t *testing.T) { driverstest.Readme(t) }
