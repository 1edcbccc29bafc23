package dispatch_test

import (
	"slices"
	"testing"

	"carillon/cron"
	"carillon/dispatch"
)

// TestTagsOfAFunction: a job has its own tags, or else its function's; tags that no job
// can have are refused where they are said.
func TestTagsOfAFunction(t *testing.T) {
	reg := dispatch.NewRegistry()
	mail := dispatch.InternalMutation[none, none]("a:mail", dispatch.Tags("mail", "slow"))
	mail.Handle(reg, func(*dispatch.MutationCtx, none) (none, error) { return none{}, nil })
	p := dispatch.Planner{Registry: reg, Now: noon}
	for _, tt := range []struct {
		opts []dispatch.RunOption
		want []string
	}{
		{nil, []string{"mail", "slow"}},
		{[]dispatch.RunOption{dispatch.Tags("eu")}, []string{"eu"}},
		{[]dispatch.RunOption{dispatch.Tags()}, nil},
		{[]dispatch.RunOption{dispatch.Tags("eu"), dispatch.Tags("us")}, []string{"us"}},
	} {
		if job, err := p.After(0, mail.With(none{}), tt.opts...); err != nil || !slices.Equal(job.Tags, tt.want) {
			t.Errorf("%v: tags %q, %v; want %q", tt.opts, job.Tags, err, tt.want)
		}
	}
	plan, err := p.PlanTrigger(dispatch.Trigger{Name: "t", Schedule: cron.Daily(0, 0), Call: mail.With(none{})})
	if err != nil || !slices.Equal(plan.Tags, []string{"mail", "slow"}) {
		t.Errorf("a trigger of it has the tags %q, %v", plan.Tags, err)
	}
	mustPanic(t, "a:q: a query", func() { dispatch.Query[none, none]("a:q", dispatch.Tags("x")) })
	mustPanic(t, "given twice", func() { dispatch.Action[none, none]("a:b", dispatch.Tags("x", "x")) })
}
