// Command carillon serves the sample app over HTTP, and looks after data
// directories: any that an engine has made, of whatever app server.
//
//	carillon demo   [--data DIR] [--listen ADDR] [--drain D] [--admin-token T]
//	carillon serve  [--data DIR] [--listen ADDR] [--drain D] [--open-loopback] [--rate N] [--trusted-proxies NETWORKS] [--webhook URL --webhook-secret FILE]
//	carillon apps   --data DIR
//	carillon check  --data DIR
//	carillon export --data DIR --app APP [--out FILE]
//	carillon import --data DIR --app APP [--in FILE]
//	carillon store own --data DIR --as NAME
//	carillon store salvage --data DIR [--accept-loss]
//	carillon store acknowledge --data DIR
//	carillon bench  [--only NAMES] [--scale FACTOR] [-o table|json]
//	carillon tokens create --apps APPS|--all-apps --scopes SCOPES [--expires D] [--data DIR|--server URL] NAME
//	carillon tokens list [--data DIR|--server URL] [-o text|json]
//	carillon tokens revoke [--data DIR|--server URL] ID
//	carillon version
//	carillon help [COMMAND]
//
//	carillon jobs list --app APP [filter] [-n N] [--cursor C] [--server URL] [--token T] [-o text|json]
//	carillon jobs show --app APP […] ID
//	carillon jobs retry|drop|cancel --app APP […] ID | filter | --all [--dry-run]
//
//	carillon crons check
//	carillon crons next --spec S [--zone Z] [--from INSTANT] [-n N] [-o text|json]
//	carillon crons list --app APP [--server URL] [--token T] [-o text|json]
//	carillon crons show|run|pause|resume --app APP […] NAME
//
// apps, check, export and import open the directory without an engine, so no job
// of it runs meanwhile. A directory has one owner at a time: while it is served
// they are told that it is in use. The commands about jobs and crons open none: crons
// check and next need no data, the others ask a server that is running. That answers
// operators, who have a token (--token, $CARILLON_ADMIN_TOKEN, --token-file); demo on a
// loopback address answers every client on the same machine.
//
// The exit code is 0, 2 for wrong usage, the code of package dispatch's table
// for an error that has one (24, unavailable, for a directory in use), and else
// 1. An error is one line on standard error, and of crons check one for each
// faulty trigger.
package main
