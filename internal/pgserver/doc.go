// Package pgserver finds the PostgreSQL server that is installed, and the user that it runs as.
//
//	bin, ok := pgserver.Programs() // the directory of initdb, postgres and the others
//	owner, err := pgserver.Owner() // nil: this process's own user
package pgserver
