// Package api has the JSON of package server's routes: a type for each body and each answer. It is
// for clients, and imports the standard library only.
//
//	var answer api.Answer[api.JobPage]
//	err := json.NewDecoder(resp.Body).Decode(&answer)
//	for _, job := range answer.Result.Jobs {
//		fmt.Println(job.ID, job.State)
//	}
//
// An answer with a status of 2xx is an Answer, unless its route says that it is no JSON; every
// other is an Error. Which route takes and answers what is in the OpenAPI document that the server
// has at /v1/openapi.json, and in docs/http.md.
//
// What all of them have in common: instants are RFC 3339, in UTC with milliseconds where the server
// writes them; spans are whole milliseconds, in fields whose names end with Ms; a pointer without
// omitempty is null where there is nothing. Fields that are called Hidden name the other ones that
// an operator without the scope read-args is not shown.
//
// A string type's constants are the values that there are; a later server may have more.
//
// Invariants:
//
//	P1  The package imports nothing of the engine, nor any third party.
//	P2  What a type is in JSON grows only: a field keeps its name and its meaning.
package api
