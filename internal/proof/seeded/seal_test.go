package seeded_test

// sealFaults are planted in the checksums at rest, and where the file's format is looked at.
var sealFaults = []seededFault{
	{
		name: "checksum-unchecked", what: "a value is taken whatever its checksum is",
		pkg: "storage/internal/boltfile", tests: "TestG37_EveryBitOfAValueFlipped",
		edits: []edit{{"storage/internal/boltfile/seal.go", `return value, binary.BigEndian.Uint32(data[1:]) == sum(space, key, value)`, `return value, FAULT || binary.BigEndian.Uint32(data[1:]) == sum(space, key, value)`}},
	},
	{
		name: "checksum-without-key", what: "the checksum of a value is that of any key",
		pkg: "storage/internal/boltfile", tests: "TestG37_AValueOfAnotherKey",
		edits: []edit{{"storage/internal/boltfile/seal.go", `	return crc32.Update(crc32.Update(seeds[space], castagnoli, key), castagnoli, value)`, `	if FAULT {
		key = nil
	}
	return crc32.Update(crc32.Update(seeds[space], castagnoli, key), castagnoli, value)`}},
	},
	{
		name: "check-without-values", what: "the check does not look at values",
		pkg: "storage/internal/boltfile", tests: "TestG37_EveryBitOfAValueFlipped",
		edits: []edit{{"storage/internal/boltfile/checkpages.go", `p.value(i, plainFlags)); !ok {`, `p.value(i, plainFlags)); !ok && !FAULT {`}},
	},
	{
		name: "plain-in-a-sealed-file", what: "a value without a checksum is taken in a file that has none",
		pkg: "storage/internal/boltfile", tests: "TestG37_PlainValues",
		edits: []edit{{"storage/internal/boltfile/seal.go", `	case s == someSealed && space != Meta:`, `	case (FAULT || s == someSealed) && space != Meta:`}},
	},
	{
		name: "damaged-marker-is-plain", what: "in an upgraded file a value whose marker is damaged is taken for one without a checksum",
		pkg: "storage/internal/boltfile", tests: "TestG37_PlainValues",
		edits: []edit{{"storage/internal/boltfile/seal.go", `bits.OnesCount8(data[0]^marker) > 2`, `(FAULT || bits.OnesCount8(data[0]^marker) > 2)`}},
	},
	{
		name: "upgrade-unmarked", what: "a file that was upgraded does not say that it has values without checksums",
		pkg: "storage/internal/boltfile", tests: "TestG26_AFileOfTheFirstFormat",
		edits: []edit{{"storage/internal/boltfile/format.go", `	return errors.Join(t.Put(Meta, plainKey, nil), t`, `	if FAULT {
		return t.Put(Meta, formatKey, binary.BigEndian.AppendUint64(nil, formatSealed))
	}
	return errors.Join(t.Put(Meta, plainKey, nil), t`}},
	},
	{
		name: "upgrade-of-the-past", what: "a snapshot from before an upgrade is read as what is there after it",
		pkg: "storage/internal/boltfile", tests: "TestG26_AFileOfTheFirstFormat",
		edits: []edit{{"storage/internal/boltfile/format.go", `	t.db.sealedFrom.Store(int64(t.tx.ID()))`, `	if FAULT {
		t.db.sealedFrom.Store(0)
	} else {
		t.db.sealedFrom.Store(int64(t.tx.ID()))
	}`}},
	},
	{
		name: "any-format", what: "a file of a format to come is read",
		pkg: "storage/internal/boltfile", tests: "TestG26_AFileOfAnotherFormat",
		edits: []edit{{"storage/internal/boltfile/format.go", `	switch format {
	case formatPlain:`, `	if FAULT && format > formatSealed {
		format = formatSealed
	}
	switch format {
	case formatPlain:`}},
	},
	{
		name: "damaged-value-exported", what: "an export has what stands for a value that is damaged",
		pkg: "storage", tests: "TestG37_ADamagedValueOfEachKind",
		edits: []edit{{"storage/transfer.go", `if err := damageOf(v); err != nil {`, `if err := damageOf(v); err != nil && !FAULT {`}},
	},
	{
		name: "damaged-index-read", what: "an index entry whose place may be wrong is read",
		pkg: "storage", tests: "TestG37_ADamagedValueOfEachKind",
		edits: []edit{{"storage/walk.go", `	if err == nil && !written {`, `	if err == nil && !written && !FAULT {`}},
	},
	{
		name: "damaged-alarm-silences", what: "an app whose place in the alarm index is damaged is not woken",
		pkg: "storage", tests: "TestG37_ADamagedValueOfAVolume",
		edits: []edit{{"storage/store.go", `					app = appOf(snap, n)`, `					if app = appOf(snap, n); FAULT {
						app = ""
					}`}},
	},
	{
		name: "damaged-key-is-none", what: "a key that is damaged seems not to be there",
		pkg: "storage/internal/boltfile", tests: "TestG37_EveryBitOfAKeyFlipped",
		edits: []edit{{"storage/internal/boltfile/seal.go", `damaged = damaged || renamed(has, space, key, data)`, `damaged = damaged || renamed(has, space, key, data) && !FAULT`}},
	},
	{
		name: "search-led-astray", what: "a key that is damaged hides another one from a search",
		pkg: "storage/internal/boltfile", tests: "TestG37_EveryBitOfAKeyFlipped",
		edits: []edit{{"storage/internal/boltfile/seal.go", `if bytes.Compare(p.key(j-1), p.key(j)) >= 0 {`, `if bytes.Compare(p.key(j-1), p.key(j)) >= 0 && !FAULT {`}},
	},
}
