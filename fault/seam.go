package fault

// A Seam is where a fault meets what it is for.
type Seam int

// The seams between the platform, what runs and what it asks for.
const (
	Events   Seam = iota // events and answers, in an environment
	Early                // events, before an environment is chosen for them
	Places               // environments, as they are made
	Services             // requests to the cloud's services
	Hosts                // names and connections outside
	Flags                // failure flags in functions' own code
	Records              // messages and changes, in the events that bring them
	Messages             // messages of queues, as they are received
	Shown                // answers of APIs to web clients

	Seams int = iota // how many there are
)

// Seam returns where the fault meets what it is for.
func (f *Fault) Seam() Seam {
	switch at := f.Target.scope(); {
	case at == onHost:
		return Hosts
	case at == onService:
		return Services
	case at == onAPI:
		return Shown
	case f.Kind == Poison || f.Kind == StuckShard:
		return Records
	case at == onQueue || at == onTable:
		return Messages
	case f.Kind == Flag:
		return Flags
	case onPlaces(f.Kind):
		return Places
	case early(f.Kind):
		return Early
	}
	return Events
}

// Meets says whether a fault is on a function, or on what it asks for.
func (f *Fault) Meets(function string) bool { return Like(f.Target.Function, function) }

// Reaches says whether a fault on hosts is for connections of a function to a
// host, or, where service is true, to the cloud's services.
func (f *Fault) Reaches(function, host string, port int, service bool) bool {
	t := &f.Target
	l, err := t.Compile()
	return err == nil && f.Seam() == Hosts && (!service || t.Outside()) && l.Names(host) && (t.Port == 0 || t.Port == port) && f.Meets(function)
}
