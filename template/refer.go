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

// Ref returns what Ref says about a resource.
func (l *loader) Ref(id string, at tree.Pos) *tree.Node {
	if owner, what, dotted := strings.Cut(id, "."); dotted && l.Named(id) && l.there(l.resources[owner], at) {
		return l.refToGenerated(l.resources[owner], what, at)
	}
	r := l.resources[id]
	if r == nil {
		if owner := l.generated(id); owner != nil {
			if !l.there(owner, at) {
				return nil
			}
			return l.refToGenerated(owner, strings.TrimPrefix(id, owner.id), at)
		}
		l.unresolved(id, l.block(), at)
		return nil
	}
	if !l.there(r, at) {
		return nil
	}
	switch r.typ {
	case lambdaVersion:
		return l.versionARN(r, at)
	case lambdaAlias:
		return l.aliasARN(r, at)
	case serverlessLayer, lambdaLayer:
		return l.derived(r, at, func(name string) string { return l.arn("lambda", "layer:"+name+":1") })
	case restResource, restMethod, restDeployment, httpIntegration, httpRoute, httpDeployment:
		return tree.Text(at, id10(l, r))
	case lambdaURL:
		return l.urlTarget(r, at)
	case sqsQueue:
		return l.derived(r, at, l.queueURL)
	case snsTopic:
		return l.derived(r, at, func(name string) string { return l.arn("sns", name) })
	case snsSubscription:
		return tree.Text(at, l.subscriptionARN(r))
	}
	if _, built := attributes[r.typ]; built {
		return l.physicalName(r, at)
	}
	return l.foreignRef(r, at)
}

func id10(l *loader, r *resource) string { return id(apiIDLength, l.app.Name, r.id) }

// block is the section that is being worked out.
func (l *loader) block() string {
	if l.current == nil {
		return "Outputs"
	}
	return "Resources"
}

// there says whether a resource exists, and complains when its condition does not hold.
func (l *loader) there(r *resource, at tree.Pos) bool {
	if !r.exists {
		l.fault(at, "Template format error: Unresolved resource dependencies ["+r.id+"] in the "+l.block()+" block of the template",
			r.id+" does not exist because its condition "+r.node.Get("Condition").Text+" does not hold: use Fn::If")
	}
	return r.exists
}

// derived makes a value of a resource's name.
func (l *loader) derived(r *resource, at tree.Pos, f func(name string) string) *tree.Node {
	name := l.physicalName(r, at)
	if name == nil || name.Kind == tree.Broken {
		return name
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: f(name.Text), Refs: name.Refs}
}

// nameProperty is the property that gives a resource of a type its physical name.
func nameProperty(typ string) string {
	switch typ {
	case serverlessFunction, lambdaFunction:
		return "FunctionName"
	case serverlessLayer, lambdaLayer:
		return "LayerName"
	case restStage, httpStage:
		return "StageName"
	case sqsQueue:
		return "QueueName"
	case snsTopic:
		return "TopicName"
	case dynamoTable, simpleTable:
		return "TableName"
	case roleType:
		return "RoleName"
	case logGroupType:
		return "LogGroupName"
	case "AWS::IAM::ManagedPolicy":
		return "ManagedPolicyName"
	case "AWS::IAM::User":
		return "UserName"
	case "AWS::IAM::Group":
		return "GroupName"
	}
	return foreigners[typ].name
}

// physicalName works out a resource's name, once.
func (l *loader) physicalName(r *resource, at tree.Pos) *tree.Node {
	if r.named == nil {
		if r.busy {
			l.fault(at, "Circular dependency between resources: ["+r.id+"]", "its name depends on itself")
			return nil
		}
		r.busy = true
		r.named = l.nameOf(r)
		r.busy = false
	}
	if r.named.Kind == tree.Broken {
		return nil
	}
	n := *r.named
	n.Pos = at
	return &n
}

func (l *loader) nameOf(r *resource) *tree.Node {
	if property := nameProperty(r.typ); property != "" {
		if given := r.props.Get(property); given != nil {
			before := l.current
			l.current = r
			var v *tree.Node
			l.scope.At(property, func() { v = l.scope.Eval(given) })
			l.current = before
			switch {
			case v == nil:
			case v.IsScalar():
				return &tree.Node{Pos: v.Pos, Kind: tree.String, Text: v.Text, Refs: v.Refs}
			default:
				return &tree.Node{Pos: given.Pos} // its reader complains
			}
		}
	}
	name := l.physical(r.id)
	switch r.typ {
	case serverlessFunction, lambdaFunction, serverlessLayer, lambdaLayer:
		name = r.id
		if len(name) > 64 {
			name = shorten(name, 51) + "-" + id(12, r.id)
		}
	case serverlessAPI, serverlessHTTPAPI, restAPI, httpAPI:
		name = id10(l, r)
	case sqsQueue:
		if fifo := l.property(r, "FifoQueue"); fifo != nil && fifo.Text == "true" {
			name += ".fifo"
		}
	case snsTopic:
		if fifo := l.property(r, "FifoTopic"); fifo != nil && fifo.Text == "true" {
			name += ".fifo"
		}
	}
	return &tree.Node{Pos: r.at, Kind: tree.String, Text: name}
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

// property works out one property of another resource as text, or returns nil.
func (l *loader) property(r *resource, name string) *tree.Node {
	given := r.props.Get(name)
	if given == nil {
		return nil
	}
	before := l.current
	l.current = r
	var v *tree.Node
	l.scope.At(name, func() { v = l.scope.Eval(given) })
	l.current = before
	if !v.IsScalar() {
		return nil
	}
	return v
}

// stageName returns the name of an API's stage.
func (l *loader) stageName(r *resource, at tree.Pos) *tree.Node {
	if v := l.property(r, "StageName"); v != nil {
		return &tree.Node{Pos: at, Kind: tree.String, Text: v.Text, Refs: v.Refs}
	}
	if r.typ == serverlessHTTPAPI {
		return tree.Text(at, "$default")
	}
	return tree.Text(at, "Prod")
}

// Attribute returns what Fn::GetAtt says about a resource.
func (l *loader) Attribute(id, name string, at tree.Pos) *tree.Node {
	r := l.resources[id]
	if r == nil {
		owner := l.generated(id)
		if owner == nil {
			l.unresolved(id, l.block(), at)
			return nil
		}
		if !l.there(owner, at) {
			return nil
		}
		return l.attributeOfGenerated(owner, id, name, at)
	}
	if !l.there(r, at) {
		return nil
	}
	known, built := attributes[r.typ]
	if !built {
		return l.foreignAttribute(r, name, at)
	}
	if owner, attr, dotted := strings.Cut(name, "."); dotted && l.Named(id+"."+owner) && slices.Contains([]string{"Version.Version", "Version.FunctionArn", "Alias.AliasArn"}, name) {
		if attr == "Version" {
			return &tree.Node{Pos: at, Kind: tree.String, Text: "1", Refs: []tree.Ref{{ID: id, Attr: name}}}
		}
		return l.Ref(id+"."+owner, at)
	}
	if !slices.Contains(known, name) {
		l.fault(at, "Template error: resource "+id+" does not support attribute type "+name+" in Fn::GetAtt", tree.Near(name, known))
		return nil
	}
	switch name {
	case "RootResourceId":
		return tree.Text(at, l.rootResource(r))
	case "FunctionUrl":
		return tree.Text(at, l.urlHost(r.id))
	case "Version":
		return l.versionNumber(r, at)
	case "ApiEndpoint":
		return l.derived(r, at, func(name string) string { return "https://" + l.apiHost(name) })
	case "TopicName":
		return l.physicalName(r, at)
	case "TopicArn":
		return l.Ref(id, at)
	case "LayerVersionArn", "AliasArn":
		return l.Ref(id, at)
	case "FunctionArn":
		if r.typ == lambdaURL {
			return l.Ref(id, at)
		}
		return l.versionARN(r, at)
	case "QueueUrl":
		return l.Ref(id, at)
	case "QueueName":
		return l.physicalName(r, at)
	case "StreamArn":
		return l.derived(r, at, func(name string) string { return l.tableARN(name) + "/stream/" + TableStreamLabel })
	case "Arn", "PolicyArn":
		if r.typ == snsSubscription {
			return l.Ref(id, at)
		}
		return l.derived(r, at, func(name string) string { return l.ownARN(r.typ, name) })
	case "RestApiId", "ApiId", "ResourceId", "DeploymentId", "IntegrationId", "RouteId", "RoleName", "Id":
		return l.Ref(id, at)
	case "SnapStartResponse.ApplyOn":
		return tree.Text(at, "None")
	case "SnapStartResponse.OptimizationStatus":
		return tree.Text(at, "Off")
	}
	return tree.Text(at, l.physical(r.id+name))
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

func (l *loader) ownARN(typ, name string) string {
	switch typ {
	case sqsQueue:
		return l.arn("sqs", name)
	case dynamoTable, simpleTable:
		return l.tableARN(name)
	case roleType:
		return l.arn("iam", "role/"+name)
	case logGroupType:
		return l.arn("logs", "log-group:"+name+":*")
	case "AWS::IAM::ManagedPolicy":
		return l.arn("iam", "policy/"+name)
	case "AWS::IAM::User":
		return l.arn("iam", "user/"+name)
	case "AWS::IAM::Group":
		return l.arn("iam", "group/"+name)
	case "AWS::IAM::InstanceProfile":
		return l.arn("iam", "instance-profile/"+name)
	case "AWS::IAM::OIDCProvider":
		return l.arn("iam", "oidc-provider/"+name)
	case "AWS::IAM::SAMLProvider":
		return l.arn("iam", "saml-provider/"+name)
	}
	return l.arn("lambda", "function:"+name)
}

// apiHost is the host of an API on AWS.
func (l *loader) apiHost(id string) string {
	return id + ".execute-api." + l.app.Place.Region + "." + l.scope.Parameters["AWS::URLSuffix"].Text
}

// urlHost is the address of a function URL on AWS. It ends with a slash, as there.
func (l *loader) urlHost(logical string) string {
	return "https://" + id(urlIDLength, l.app.Name, logical) + ".lambda-url." + l.app.Place.Region + ".on.aws/"
}
