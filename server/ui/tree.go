package ui

import "carillon/server/api"

// Bounds of a tree of jobs: it has so many ancestors, so many generations of what came of the job, and so many jobs in all.
const (
	treeAncestors   = 8
	treeGenerations = 3
	treeJobs        = 40
)

// node is a job of a tree, with jobs that it has scheduled.
type node struct {
	ID       string
	Job      *api.Job // nil if it is kept no more
	Here     bool     // it is the one that is looked at
	Children []*node
	More     bool // it has scheduled others
}

// treeOf is what the job came of, and what came of it; nil if there is neither.
func treeOf(r *Request, job *api.Job) *node {
	if job.Parent == "" && len(childrenOf(job)) == 0 {
		return nil
	}
	t := tree{r, treeJobs - 1}
	here := &node{ID: job.ID, Job: job, Here: true}
	root := here
	for range treeAncestors {
		if root.Job == nil || root.Job.Parent == "" {
			break
		}
		parent := t.node(root.Job.Parent)
		parent.Children, parent.More = []*node{root}, parent.Job != nil && len(childrenOf(parent.Job)) > 1
		root = parent
	}
	t.grow(here, treeGenerations)
	return root
}

// tree is a tree under way: so many jobs are left to be asked for.
type tree struct {
	r    *Request
	left int
}

// node asks for the job.
func (t *tree) node(id string) *node {
	t.left--
	n := &node{ID: id}
	path := map[string]string{"app": t.r.HTTP.PathValue("app"), "id": id}
	if job, err := ask[api.Job](t.r, Call{Route: "GET /v1/apps/{app}/jobs/{id}", Path: path}); err == nil {
		n.Job = &job
	}
	return n
}

// grow adds the jobs that those of the generation have scheduled, the nearest first.
func (t *tree) grow(here *node, generations int) {
	generation := []*node{here}
	for range generations {
		var next []*node
		for _, n := range generation {
			children := childrenOf(n.Job)
			shown := children[:min(len(children), max(t.left, 0))]
			for _, id := range shown {
				n.Children = append(n.Children, t.node(id))
			}
			n.More = len(shown) < len(children) || n.Job != nil && n.Job.JobDetail != nil && n.Job.MoreChildren
			next = append(next, n.Children...)
		}
		generation = next
	}
	for _, n := range generation {
		n.More = len(childrenOf(n.Job)) > 0
	}
}

// childrenOf are the first jobs that the job has scheduled.
func childrenOf(job *api.Job) []string {
	if job == nil || job.JobDetail == nil {
		return nil
	}
	return job.Children
}
