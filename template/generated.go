package template

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// Named says whether id is one of SAM's names with a dot that Ref may name:
// Function.Version, Function.Alias, Api.Stage and the like.
func (l *loader) Named(id string) bool {
	owner, what, dotted := strings.Cut(id, ".")
	r := l.resources[owner]
	if !dotted || r == nil {
		return false
	}
	switch r.typ {
	case serverlessFunction:
		switch what {
		case "Version", "Alias":
			return r.props.Get("AutoPublishAlias") != nil
		case "DestinationQueue", "DestinationTopic":
			return r.props.Get("EventInvokeConfig") != nil
		}
	case serverlessAPI, serverlessHTTPAPI:
		return slices.Contains([]string{"Stage", "Deployment", "DomainName", "DomainNameV2", "UsagePlan", "UsagePlanKey", "ApiKey"}, what)
	}
	return false
}

// generated returns the resource that SAM makes one with the given logical ID for, or nil.
func (l *loader) generated(id string) *resource {
	for n := len(id) - 1; n > 0; n-- {
		r := l.resources[id[:n]]
		if r == nil {
			continue
		}
		rest := id[n:]
		if r.node != nil {
			for _, c := range fieldsOf(r.node.Get("Connectors")) {
				if after, found := strings.CutPrefix(rest, c.Name); found && (after == "" || after == "Policy") {
					return r
				}
			}
		}
		switch r.typ {
		case serverlessFunction:
			if l.generatedForFunction(r, rest) {
				return r
			}
		case serverlessAPI, serverlessHTTPAPI:
			if strings.HasPrefix(rest, "Deployment") || strings.HasSuffix(rest, "Stage") {
				return r
			}
			if r.props.Get("Domain") != nil && (strings.HasSuffix(rest, "ApiMapping") || strings.HasSuffix(rest, "BasePathMapping")) {
				return r
			}
		case "AWS::Serverless::GraphQLApi":
			return r // its schema, keys, resolvers and so on: none of them is supported
		case "AWS::Serverless::StateMachine":
			if rest == "Role" || strings.HasPrefix(rest, "Alias") || strings.HasPrefix(rest, "Version") || isEventOf(r, rest) {
				return r
			}
		case serverlessLayer:
			if len(rest) == 10 && strings.Trim(rest, "0123456789abcdef") == "" {
				return r
			}
		}
	}
	if id == "ServerlessDeploymentApplication" || id == "CodeDeployServiceRole" {
		for _, r := range l.order {
			if r.typ == serverlessFunction && r.props.Get("DeploymentPreference") != nil {
				return r
			}
		}
	}
	return nil
}

func (l *loader) generatedForFunction(r *resource, rest string) bool {
	has := func(property string) bool { return r.props.Get(property) != nil }
	switch {
	case rest == "Role":
		return !has("Role")
	case rest == "Url", rest == "UrlPublicPermissions", rest == "URLInvokeUrlPermission":
		return has("FunctionUrlConfig")
	case rest == "EventInvokeConfig", strings.HasPrefix(rest, "EventInvokeConfigOn"):
		return has("EventInvokeConfig")
	case rest == "DeploymentGroup":
		return has("DeploymentPreference")
	case strings.HasPrefix(rest, "Alias"), strings.HasPrefix(rest, "Version"):
		return has("AutoPublishAlias")
	}
	return isEventOf(r, rest)
}

// isEventOf says whether rest is the name of an event of r, or of what SAM makes for it.
func isEventOf(r *resource, rest string) bool {
	for _, e := range fieldsOf(r.props.Get("Events")) {
		if after, found := strings.CutPrefix(rest, e.Name); found && (after == "" || slices.ContainsFunc([]string{"Permission", "Queue", "QueuePolicy", "EventSourceMapping", "Role", "DeadLetterQueue", "Topic"}, func(s string) bool { return strings.HasPrefix(after, s) })) {
			return true
		}
	}
	return false
}

// refToGenerated returns what Ref says about something SAM makes for r; what is the part of its name after r's.
func (l *loader) refToGenerated(r *resource, what string, at tree.Pos) *tree.Node {
	switch {
	case what == "Role":
		return tree.Text(at, l.physical(r.id+"Role"))
	case r.typ == serverlessAPI || r.typ == serverlessHTTPAPI:
		if strings.HasSuffix(what, "Stage") {
			return l.stageName(r, at)
		}
		if strings.HasPrefix(what, "Deployment") {
			return tree.Text(at, id(apiIDLength, l.app.Name, r.id+what))
		}
	case r.typ == serverlessFunction && what == "Url":
		return l.derived(r, at, func(name string) string { return l.arn("lambda", "function:"+name) })
	case r.typ == serverlessFunction && strings.HasPrefix(what, "Version"):
		return l.derived(r, at, func(name string) string { return l.arn("lambda", "function:"+name+":1") })
	case r.typ == serverlessFunction && strings.HasPrefix(what, "Alias"):
		alias := l.property(r, "AutoPublishAlias")
		if alias == nil {
			return nil
		}
		return l.derived(r, at, func(name string) string { return l.arn("lambda", "function:"+name+":"+alias.Text) })
	case r.typ == serverlessLayer:
		return l.derived(r, at, func(name string) string { return l.arn("lambda", "layer:"+name+":1") })
	case r.typ == serverlessFunction && isDestinationQueue(what):
		return tree.Text(at, l.queueURL(l.physical(r.id+what)))
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: l.standIn(r.id + what), Refs: []tree.Ref{{ID: r.id + what}}}
}

// isDestinationQueue says whether SAM makes a queue of this name for a destination of a function without an ARN.
func isDestinationQueue(what string) bool {
	return what == "EventInvokeConfigOnSuccessQueue" || what == "EventInvokeConfigOnFailureQueue"
}

// attributeOfGenerated returns an attribute of the role, the URL and the like that SAM makes.
func (l *loader) attributeOfGenerated(owner *resource, id, name string, at tree.Pos) *tree.Node {
	what := strings.TrimPrefix(id, owner.id)
	switch {
	case what == "Role" && name == "Arn":
		return tree.Text(at, l.arn("iam", "role/"+l.physical(id)))
	case what == "Role" && name == "RoleId":
		return tree.Text(at, l.physical(id+"Id"))
	case what == "Url" && name == "FunctionUrl":
		return tree.Text(at, l.urlHost(owner.id))
	case isDestinationQueue(what) && name == "Arn":
		return tree.Text(at, l.arn("sqs", l.physical(id)))
	case isDestinationQueue(what) && name == "QueueName":
		return tree.Text(at, l.physical(id))
	case what == "Url" && name == "FunctionArn":
		return l.refToGenerated(owner, what, at)
	case strings.HasPrefix(what, "Version") && name == "Version":
		return &tree.Node{Pos: at, Kind: tree.String, Text: "1", Refs: []tree.Ref{{ID: id, Attr: name}}}
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: l.standIn(id), Refs: []tree.Ref{{ID: id, Attr: name}}}
}
