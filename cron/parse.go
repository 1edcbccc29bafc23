package cron

import (
	"math/bits"
	"strings"

	robfig "github.com/robfig/cron/v3"
)

// macros are the short names, in upper case, with what they stand for.
var macros = map[string]string{
	"@YEARLY":   "0 0 1 1 *",
	"@ANNUALLY": "0 0 1 1 *",
	"@MONTHLY":  "0 0 1 * *",
	"@WEEKLY":   "0 0 * * 0",
	"@DAILY":    "0 0 * * *",
	"@MIDNIGHT": "0 0 * * *",
	"@HOURLY":   "0 * * * *",
}

// parse fills the calendar from an expression in upper case with single
// spaces. The text is what was written, for the errors.
func (c *calendar) parse(text, expr string) error {
	parts, err := split(text, expr)
	if err != nil {
		return err
	}
	var plain [fieldCount]string // what the third party parser gets
	for i := range fields {
		if plain[i], err = c.items(i, parts[i]); err != nil {
			return refuse(text, fields[i].name, err.Error())
		}
	}
	if err := c.fill(plain); err != nil {
		return refuse(text, "spec", err.Error())
	}
	dom, dow := starred(parts[fieldDayOfMonth]), starred(parts[fieldDayOfWeek])
	c.days.both = dom || dow
	c.wild = starred(parts[fieldHour])
	if !c.check() {
		name := fields[fieldDayOfMonth].name
		if dom {
			name = fields[fieldDayOfWeek].name
		}
		return refuse(text, name, "no such day comes within 45 years")
	}
	return nil
}

// split cuts an expression into its six fields.
func split(text, expr string) ([]string, error) {
	switch {
	case expr == "":
		return nil, refuse(text, "spec", "it is empty")
	case expr == "@REBOOT":
		return nil, refuse(text, "spec", "a start of the program is no cadence; declare a trigger with AtStart and without a spec")
	case strings.HasPrefix(expr, "@"):
		return nil, refuse(text, "spec", "there is no such short name; there are @hourly, @daily, @weekly, @monthly, @yearly and \"@every <duration>\"")
	case strings.HasPrefix(expr, "TZ="), strings.HasPrefix(expr, "CRON_TZ="):
		return nil, refuse(text, "zone", "the zone is a setting of its own and not part of the text")
	}
	parts := strings.Split(expr, " ")
	switch len(parts) {
	case fieldCount - 1:
		return append([]string{"0"}, parts...), nil
	case fieldCount:
		return parts, nil
	case fieldCount + 1:
		return nil, refuse(text, "spec", "7 fields are one too many: there is no field for the year")
	default:
		return nil, refuse(text, "spec", "5 fields are needed (minute, hour, day of month, month, day of week), or 6 with the second first")
	}
}

// items reads the list in one field. Items with L, W and # go into the
// calendar; the others are returned, rewritten, for the third party parser. It
// gets an empty string if there are none.
func (c *calendar) items(i int, list string) (string, error) {
	isDay := i == fieldDayOfMonth || i == fieldDayOfWeek
	if list == "?" && isDay {
		return "*", nil
	}
	var plain []string
	for item := range strings.SplitSeq(list, ",") {
		if item == "" {
			return "", faultf("%q has an empty item", list)
		}
		if strings.Contains(item, "?") {
			return "", faultf("? can only stand alone, for one of the two day fields")
		}
		special, err := false, error(nil)
		switch i {
		case fieldDayOfMonth:
			special, err = c.days.dateItem(item)
		case fieldDayOfWeek:
			special, err = c.days.weekItem(item)
		}
		if err == nil && !special {
			item, err = fields[i].ordinary(item)
			plain = append(plain, item)
		}
		if err != nil {
			return "", err
		}
	}
	return strings.Join(plain, ","), nil
}

// fill has the third party parser turn the ordinary items into bit sets. It
// cannot refuse what ordinary has let through, but its word is taken if it
// does. A field without ordinary items is left empty.
func (c *calendar) fill(plain [fieldCount]string) error {
	var text [fieldCount]string
	for i, s := range plain {
		if text[i] = s; s == "" {
			text[i] = "*"
		}
	}
	parser := robfig.NewParser(robfig.Second | robfig.Minute | robfig.Hour | robfig.Dom | robfig.Month | robfig.Dow)
	parsed, err := parser.Parse(strings.Join(text[:], " "))
	if err != nil {
		return faultf("it cannot be parsed: %v", err)
	}
	set, ok := parsed.(*robfig.SpecSchedule)
	if !ok {
		return faultf("it cannot be parsed: unexpected %T", parsed)
	}
	const star = 1 << 63 // the parser's own mark, of no use here
	c.second, c.minute, c.hour, c.month = set.Second&^star, set.Minute&^star, set.Hour&^star, set.Month&^star
	if plain[fieldDayOfMonth] != "" {
		c.days.dom = set.Dom &^ star
	}
	if plain[fieldDayOfWeek] != "" {
		c.days.dow = set.Dow &^ star
	}
	c.open = int64(bits.TrailingZeros64(c.hour)*3600 + bits.TrailingZeros64(c.minute)*60 + bits.TrailingZeros64(c.second))
	return nil
}

// starred is Vixie cron's notion of a wildcard: the field starts with a star,
// whatever follows. A question mark is a star.
func starred(list string) bool {
	return list[0] == '*' || list[0] == '?'
}
