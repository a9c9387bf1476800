// Package catalog holds what should exist: functions, their versions and
// aliases, layers, APIs, their owners and tags, as durable records of a cell.
//
// A [View] is the whole catalog at one moment, in memory and unchanging; doors
// and verbs read views and never wait for the disk.
package catalog
