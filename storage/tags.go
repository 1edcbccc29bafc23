package storage

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// MaxTags bounds how many tags a job has, and MaxTag the bytes of each.
const (
	MaxTags = 8
	MaxTag  = 64
)

// CheckTags says, with ErrInvalid, why a job cannot have the tags: there are more than
// MaxTags, or one is not 1 to MaxTag bytes of UTF-8 without control characters, or is
// there twice. For engines.
func CheckTags(tags []string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("%w: %d tags, want %d at most", ErrInvalid, len(tags), MaxTags)
	}
	for i, tag := range tags {
		if len(tag) == 0 || len(tag) > MaxTag || !utf8.ValidString(tag) || slices.ContainsFunc([]rune(tag), unicode.IsControl) {
			return fmt.Errorf("%w: tag %s: want 1 to %d bytes of UTF-8 without control characters", ErrInvalid, quote(tag), MaxTag)
		}
		if slices.Contains(tags[:i], tag) {
			return fmt.Errorf("%w: tag %q is given twice", ErrInvalid, tag)
		}
	}
	return nil
}

// MaxInstance bounds Job.Instance and Job.ShardKey, in bytes.
const MaxInstance = 256

// checkInstance says why the job cannot have the names.
func checkInstance(job *Job) error {
	for _, name := range []string{job.Instance, job.ShardKey} {
		if len(name) > MaxInstance || !utf8.ValidString(name) {
			return fmt.Errorf("%w: instance or shard key %s: want at most %d bytes of UTF-8", ErrInvalid, quote(name), MaxInstance)
		}
	}
	return nil
}

// hasTags says whether the job has all of the tags.
func hasTags(job *Job, tags []string) bool {
	for _, tag := range tags {
		if !slices.Contains(job.Tags, tag) {
			return false
		}
	}
	return true
}
