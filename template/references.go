package template

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma/template/intrinsic"
	"github.com/daruma-io/daruma/template/tree"
)

// references checks that everything the template names is there, and that nothing waits for itself.
func (l *loader) references() {
	for _, r := range l.order {
		l.current = r
		if r.node == nil { // an implicit API
			continue
		}
		intrinsic.Uses(r.props, func(u intrinsic.Use) { l.known(u, "Resources") })
		depends := r.node.Get("DependsOn")
		list := []*tree.Node{depends}
		if depends != nil && depends.Kind == tree.List {
			list = depends.Items
		}
		for _, d := range list {
			switch {
			case d == nil || d.Kind == tree.Broken:
			case d.Kind != tree.String:
				l.fault(d.Pos, "Template format error: DependsOn must be a string or a list of strings", "")
			default:
				l.known(intrinsic.Use{ID: d.Text, Attr: "DependsOn", At: d.Pos}, "Resources")
			}
		}
	}
	l.current = nil
	if outputs := l.scope.Expand(l.doc.Get("Outputs")); outputs != nil {
		intrinsic.Uses(outputs, func(u intrinsic.Use) { l.known(u, "Outputs") })
	}
	l.cycles()
}

// known reports a name that nothing has.
func (l *loader) known(u intrinsic.Use, block string) {
	if u.Condition {
		if l.scope.Conditions.Get(u.ID) == nil {
			l.fault(u.At, "Template format error: Unresolved condition dependency "+u.ID+" in the "+block+" block of the template", tree.Near(u.ID, names(l.scope.Conditions)))
		}
		return
	}
	if _, isParameter := l.scope.Parameters[u.ID]; isParameter && u.Attr == "" || l.defined(u) {
		return
	}
	id := u.ID
	if owner, _, dotted := strings.Cut(id, "."); dotted && u.Sub {
		id = owner
	}
	l.unresolved(id, block, u.At)
}

func (l *loader) unresolved(id, block string, at tree.Pos) {
	known := make([]string, 0, len(l.order))
	for _, r := range l.order {
		known = append(known, r.id)
	}
	for name := range l.scope.Parameters {
		known = append(known, name)
	}
	slices.Sort(known)
	l.fault(at, "Template format error: Unresolved resource dependencies ["+id+"] in the "+block+" block of the template", tree.Near(id, known))
}

// defined says whether a resource, or what SAM generates for one, has the name.
func (l *loader) defined(u intrinsic.Use) bool {
	id := u.ID
	if l.resources[id] != nil || l.generated(id) != nil {
		return true
	}
	if owner, _, dotted := strings.Cut(id, "."); dotted && u.Sub {
		return l.resources[owner] != nil || l.generated(owner) != nil
	}
	return l.Named(id)
}

// cycles refuses resources that wait for each other.
func (l *loader) cycles() {
	g := graph{edges: map[string][]string{}, state: map[string]int{}}
	for _, r := range l.order {
		if r.exists {
			l.edges(g, r)
		}
	}
	for _, r := range l.order {
		if cycle := g.walk(r.id); cycle != nil {
			l.current = l.resources[cycle[0]]
			at := r.at
			if l.current != nil {
				at = l.current.at
			}
			slices.Sort(cycle)
			l.fault(at, "Circular dependency between resources: ["+strings.Join(cycle, ", ")+"]", "")
			l.current = nil
			return
		}
	}
}

// laterProperties of SAM's types make resources of their own, which wait for the resource.
var laterProperties = map[string][]string{
	serverlessFunction: {"Events", "FunctionUrlConfig", "EventInvokeConfig", "DeploymentPreference", "ProvisionedConcurrencyConfig", "Policies"},
	serverlessAPI:      {"StageName", "Variables", "MethodSettings", "AccessLogSetting", "CacheClusterEnabled", "CacheClusterSize", "CanarySetting", "TracingEnabled", "Domain"},
	serverlessHTTPAPI:  {"StageName", "StageVariables", "DefaultRouteSettings", "RouteSettings", "AccessLogSettings", "Domain"},
	serverlessLayer:    {},
}

// edges adds what r waits for. A SAM function waits for its role, which waits
// for what its policies name; an API waits for the functions behind it.
func (l *loader) edges(g graph, r *resource) {
	add := func(from string, n *tree.Node) {
		intrinsic.Uses(n, func(u intrinsic.Use) {
			id, _, _ := strings.Cut(u.ID, ".")
			if owner := l.generated(id); owner != nil && l.resources[id] == nil {
				if strings.HasSuffix(id, "Role") {
					g.edge(from, id)
				}
				return
			}
			if o := l.resources[id]; o != nil && o.exists && !u.Condition {
				g.edge(from, id)
			}
		})
	}
	if r.node != nil {
		if d := r.node.Get("DependsOn"); d != nil {
			for _, item := range append(d.Items, d) {
				if o := l.resources[item.Text]; o != nil && o.exists {
					g.edge(r.id, o.id)
				}
			}
		}
	}
	later, known := laterProperties[r.typ]
	if strings.HasPrefix(r.typ, "AWS::Serverless::") && !known {
		return // what SAM makes of it is not known well enough
	}
	for _, f := range r.props.Fields {
		if !slices.Contains(later, f.Name) {
			add(r.id, f.Value)
		}
	}
	if r.typ != serverlessFunction {
		return
	}
	if r.props.Get("Role") == nil {
		g.edge(r.id, r.id+"Role")
		add(r.id+"Role", r.props.Get("Policies"))
	}
	for _, e := range fieldsOf(r.props.Get("Events")) {
		if target := l.eventAPI(e.Value); target != nil && target.managed() {
			g.edge(target.id, r.id)
		}
	}
}

type graph struct {
	edges map[string][]string
	state map[string]int // 1 while on the way, 2 when done
}

func (g graph) edge(from, to string) {
	if !slices.Contains(g.edges[from], to) {
		g.edges[from] = append(g.edges[from], to)
	}
}

// walk returns a cycle that can be reached from id, or nil.
func (g graph) walk(id string) []string {
	var path []string
	var visit func(id string) []string
	visit = func(id string) []string {
		switch g.state[id] {
		case 1:
			return slices.Clone(path[slices.Index(path, id):])
		case 2:
			return nil
		}
		g.state[id] = 1
		path = append(path, id)
		for _, to := range g.edges[id] {
			if cycle := visit(to); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		g.state[id] = 2
		return nil
	}
	return visit(id)
}
