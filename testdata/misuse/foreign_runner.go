// Only this module's contexts and callers run functions: the interfaces are sealed.
package misuse

import (
	"encoding/json"

	"carillon/dispatch"
)

type forged struct{}

func (forged) runQuery(string, json.RawMessage) (json.RawMessage, error) { return nil, nil }

var list = dispatch.Query[dispatch.None, int]("notes:list")

func host() (int, error) {
	return list.Run(forged{}, dispatch.None{}) // want "cannot use forged{} (value of struct type forged) as dispatch.QueryRunner value in argument to list.Run: forged does not implement dispatch.QueryRunner (unexported method runQuery)"
}
