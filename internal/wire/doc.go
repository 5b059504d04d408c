// Package wire is SCM's REST protocol written once: paths, parameter and
// header names, error codes, record shapes, encodings, ids and the login
// signature.
//
// The client and the embedded server meet only here, so that they cannot agree
// on a mistake; everything in this package is pinned by the worked examples and
// test vectors of the protocol description ("part 1" and "part 2" in comments,
// with section numbers). The package performs no I/O and keeps no state.
package wire
