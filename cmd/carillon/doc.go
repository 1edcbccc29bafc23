// Command carillon serves the sample app over HTTP, and looks after data
// directories: any that an engine has made, of whatever app server.
//
//	carillon serve  [--data DIR] [--listen ADDR] [--drain D]
//	carillon apps   --data DIR
//	carillon check  --data DIR
//	carillon export --data DIR --app APP [--out FILE]
//	carillon import --data DIR --app APP [--in FILE]
//	carillon version
//	carillon help [COMMAND]
//
// All but serve open the directory without an engine, so no job of it runs
// meanwhile. A directory has one owner at a time: while it is served they are
// told that it is in use.
//
// The exit code is 0, 2 for wrong usage, the code of package dispatch's table
// for an error that has one (24, unavailable, for a directory in use), and else
// 1. An error is one line on standard error.
package main
