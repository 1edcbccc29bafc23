package actors

import "testing"

// TestG24_MostClaimsOfAnApp: the bounds of jobs and of bytes are each by what others have.
func TestG24_MostClaimsOfAnApp(t *testing.T) {
	const kib = 1 << 10
	for _, tt := range []struct {
		others, own, want claims
	}{
		{claims{}, claims{}, claims{claimBatch, claimBytes}},
		{claims{}, claims{claimBatch, claimBytes}, claims{claimBatch, claimBytes}},
		{claims{engineClaims - claimBatch, engineClaimBytes - claimBytes}, claims{}, claims{claimBatch, claimBytes}},
		{claims{engineClaims - claimBatch + 1, engineClaimBytes - claimBytes + 1}, claims{5, kib}, claims{claimBatch - 1, claimBytes - 1}},
		{claims{engineClaims - fewClaims - 1, engineClaimBytes - fewClaimBytes - 1}, claims{}, claims{fewClaims + 1, fewClaimBytes + 1}},
		{claims{engineClaims - fewClaims + 1, engineClaimBytes - fewClaimBytes + 1}, claims{}, claims{fewClaims, fewClaimBytes}},
		{claims{2 * engineClaims, 2 * engineClaimBytes}, claims{}, claims{fewClaims, fewClaimBytes}},
	} {
		total := claimTotal{limit: engineClaims, ofApp: claimBytes}
		total.add(tt.others)
		total.add(tt.own)
		if got := total.most(tt.own); got != tt.want {
			t.Errorf("beside %+v an app that has %+v may have %+v, want %+v", tt.others, tt.own, got, tt.want)
		}
	}
}
