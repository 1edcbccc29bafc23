//go:build !linux

package timing

import "errors"

func newTimerSource() (timerSource, error) { return nil, errors.ErrUnsupported }
