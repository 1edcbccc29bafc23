package actors

import "carillon/storage"

// attrsOf are what a log line about the job begins with: app, function, job and, if it
// has any, tags.
func (app *appState) attrsOf(job *storage.Job, more ...any) []any {
	attrs := []any{"app", app.id, "function", job.Function, "job", job.ID}
	if len(job.Tags) > 0 {
		attrs = append(attrs, "tags", job.Tags)
	}
	return append(attrs, more...)
}
