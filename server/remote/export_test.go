package remote

// CheckDial says why the caller of the options dials no such address, or nil.
func CheckDial(opts Options, address string) error {
	_, of, err := target(opts)
	if err != nil {
		return err
	}
	return of.control("tcp", address, nil)
}
