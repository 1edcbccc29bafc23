package ui

import "carillon/server/api"

// audit is what operators have changed, the latest first.
func audit(r *Request) (*Answer, error) {
	query := r.given()
	page, err := ask[api.AuditPage](r, Call{Route: "GET /v1/audit", Query: query})
	if err != nil {
		return nil, err
	}
	return r.show("audit", "Audit log", []crumb{{"System", r.Base + "/system"}}, listing(page, query, page.Next)), nil
}
