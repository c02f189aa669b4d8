// Package failpoint names the places where a process may be killed to prove that nothing is lost or doubled.
//
// The one idea: a name stands between two steps that must survive a crash. Built with the tag failpoints, a program kills
// itself with SIGKILL at the point that LOKET_FAILPOINT names; built without, as it ships, the points are empty functions.
// `make torture` walks through all of them.
package failpoint
