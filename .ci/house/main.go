// Command house reads what the go command prints and says it for people: what the tests did, whether the benchmarks met
// their goals, and under which licences the modules stand that our programs are built from.
//
//	house test ARG...             runs go test -json ARG... and summarises it
//	house bench GOALS             reads benchmark lines from standard input and compares them with the table in GOALS
//	house licences PACKAGE...     prints docs/licences.md for what these packages link and the console holds
//	house notices DIR PACKAGE...  copies the licence files of the same into DIR
//
// The Makefile calls it; nothing imports it.
package main

import (
	"fmt"
	"os"
)

func main() {
	ok, err := run(os.Args[1:])
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "house:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

// run reports whether what it looked at was good.
func run(args []string) (bool, error) {
	if len(args) == 0 {
		return false, fmt.Errorf("reading the arguments: none given (hint: house test|bench|licences|notices ...)")
	}
	switch rest := args[1:]; args[0] {
	case "test":
		return test(os.Stdout, rest)
	case "bench":
		return bench(os.Stdout, os.Stdin, rest)
	case "licences":
		return true, licences(os.Stdout, rest)
	case "notices":
		return true, notices(rest)
	}
	return false, fmt.Errorf("reading the arguments: no command %q (hint: house test|bench|licences|notices ...)", args[0])
}
