package ui

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"carillon/dispatch"
	"carillon/server/api"
)

// argsForm is the form that gives a job other arguments. What it is made of is told by a digest: the arguments themselves
// would make it twice as long.
type argsForm struct {
	App      string
	Job      api.Job
	Version  string // of the arguments that the form is made of; "" if they are hidden
	Text     string // in the form
	Editable bool   // it is short enough for one
	Error    *api.Error
	Theirs   []versionLine // if there are two versions: the present one,
	Yours    []versionLine // and that of the form
}

// versionOf tells arguments apart; "" of hidden ones.
func versionOf(args json.RawMessage) string {
	if args == nil {
		return ""
	}
	sum := sha256.Sum256(args)
	return hex.EncodeToString(sum[:16])
}

// jobArgs shows the form with the arguments as they are.
func jobArgs(r *Request) (*Answer, error) {
	job, err := r.job()
	if err != nil {
		return nil, err
	}
	return r.showJobArgs(http.StatusOK, argsForm{Job: job, Text: indented(job.Args)}), nil
}

func (r *Request) job() (api.Job, error) {
	return ask[api.Job](r, Call{Route: "GET /v1/apps/{app}/jobs/{id}", Path: r.inPath("app", "id")})
}

func (r *Request) showJobArgs(status int, d argsForm) *Answer {
	d.App, d.Version, d.Editable = r.HTTP.PathValue("app"), versionOf(d.Job.Args), len(d.Text) <= maxEdited
	list := r.Base + "/apps/" + escaped(d.App) + "/jobs"
	a := r.show("jobargs", "Other arguments", r.inApp(crumb{"Jobs", list}, crumb{d.Job.Function, list + "/" + escaped(d.Job.ID)}), d)
	a.status = status
	return a
}

// changeJobArgs gives the job the arguments of the form, if it has those that the form was made of. Who may not see them
// may replace them all the same.
func changeJobArgs(r *Request) (*Answer, error) {
	job, err := r.job()
	if err != nil {
		return nil, err
	}
	text := r.field("args")
	change, wrong := api.JobChange{Args: json.RawMessage(text), IfArgs: job.Args}, error(nil)
	switch {
	case !json.Valid(change.Args):
		wrong = unfit("the text is no JSON: %.80q", text)
	case r.field("version") != versionOf(job.Args):
		wrong = dispatch.Errorf(dispatch.CodeAborted, "the job was given other arguments while you had the form open")
	}
	if wrong != nil {
		change = api.JobChange{Priority: -1} // the row says whether the operator may, and refuses that
	}
	a, err := r.changeJob("reschedule", change)
	if err == nil {
		return a, nil
	}
	code := dispatch.AsError(err).Code
	if code == dispatch.CodeInvalidArgument && wrong != nil {
		err, code = wrong, dispatch.AsError(wrong).Code
	}
	if code == dispatch.CodePermissionDenied || code == dispatch.CodeNotFound {
		return nil, err
	}
	d := argsForm{Text: text}
	if d.Job, wrong = r.job(); wrong != nil {
		return nil, wrong
	}
	status, e := r.Refused(err)
	if d.Error = &e; code == dispatch.CodeAborted {
		d.Text = indented([]byte(text))
		d.Theirs, d.Yours = compared(indented(d.Job.Args), d.Text)
	}
	return r.showJobArgs(status, d), nil
}
