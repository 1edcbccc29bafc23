package sample

import (
	"carillon/dispatch"
	"carillon/storage"
)

// Program is the name that marks the sample app's store (actors.Options.Program).
const Program = "carillon-demo"

// none is the argument and the result of functions that have none.
var none dispatch.None

// Functions returns a new registry with every function of the app.
func Functions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	handlePosts(reg)
	handleNotifications(reg)
	handleOrders(reg)
	handleBilling(reg)
	handleReminders(reg)
	handleCounters(reg)
	handleJobs(reg)
	handleCleanup(reg)
	handlePresence(reg)
	handleHeartbeat(reg)
	handleSearch(reg)
	handleOTP(reg)
	handleCampaigns(reg)
	handleRefunds(reg)
	handleExports(reg)
	handleApprovals(reg)
	handlePhotos(reg)
	handleArchives(reg)
	handleSurveys(reg)
	handleEcho(reg)
	return reg
}

// Pools returns the pools that jobs of the app are in, for actors.Options.Pools.
func Pools() []*dispatch.Pool { return []*dispatch.Pool{provider, oneOfAUser} }

// Tables returns the tables that have indexes, for actors.Options.Tables. Those
// that are only read by id need no mention.
func Tables() []storage.Schema {
	return []storage.Schema{notifications, trials, counters, presence, beats}
}
