package dispatch

import (
	"fmt"
	"slices"

	"carillon/storage"
)

// TagsOption is what Tags returns: an option of a job as of a function.
type TagsOption []string

// Tags marks a job with words of the program's own, which choose it in a JobFilter and
// stand in log lines about it. At most storage.MaxTags, each 1 to storage.MaxTag bytes of
// UTF-8 without control characters, and none twice. Those of a function are for its jobs
// that are scheduled without; declaring others panics, as do those of a query, which is
// never a job. Tags() has a job have none.
func Tags(tags ...string) TagsOption { return slices.Clone(tags) }

func (tags TagsOption) changeRun(o *runOptions) { o.tags = &tags }

func (tags TagsOption) changeFunction(info *Info) {
	err := storage.CheckTags(tags)
	if err == nil && info.Kind == KindQuery {
		err = fmt.Errorf("a query is no job, and has no tags")
	}
	if err != nil {
		panic(fmt.Sprintf("dispatch: %s: %s", info.Path, err))
	}
	info.Tags = tags
}

// tagsOf are those of a job of the function.
func (o *runOptions) tagsOf(fn *Function) []string {
	if o.tags == nil {
		return fn.Tags
	}
	return *o.tags
}
