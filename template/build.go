package template

import (
	"strings"

	"github.com/daruma-io/daruma/template/intrinsic"
	"github.com/daruma-io/daruma/template/tree"
)

// build makes the app's parts of the resources, what others refer to first:
// layers, functions with their events put off, APIs, the events, and what hangs on them.
func (l *loader) build() {
	l.scope.Resources = intrinsic.Resources(l)
	l.functions, l.apis = functions{}, apis{byID: map[string]*api{}, left: map[string]bool{}}
	l.servesSAM()
	l.each(l.layer, serverlessLayer, lambdaLayer)
	l.each(l.queue, sqsQueue)
	l.each(l.queuePolicy, sqsPolicy)
	l.each(l.table, dynamoTable)
	l.each(l.simpleTable, simpleTable)
	l.each(l.storedText, ssmParameter)
	// Routes of definitions need the functions, and events of functions need the
	// APIs. So functions are read first, their events as the last step.
	l.each(l.topic, snsTopic)
	l.each(l.serverlessFunction, serverlessFunction)
	l.each(l.lambdaFunction, lambdaFunction)
	l.each(l.serverlessAPI, serverlessAPI)
	l.each(l.serverlessHTTPAPI, serverlessHTTPAPI)
	l.each(l.restAPI, restAPI)
	l.each(l.httpAPI, httpAPI)
	for _, e := range l.later {
		l.current = e.r
		e.read()
	}
	l.current = nil
	paths, integrations := l.restPaths(), l.httpIntegrations()
	l.each(func(r *resource) { l.restMethod(r, paths) }, restMethod)
	l.each(func(r *resource) { l.httpRoute(r, integrations) }, httpRoute)
	l.each(l.restStage, restStage, restDeployment)
	l.each(l.httpStage, httpStage)
	l.each(l.httpDeployment, httpDeployment)
	l.each(l.lambdaVersion, lambdaVersion)
	l.each(l.lambdaAlias, lambdaAlias)
	l.each(l.lambdaURL, lambdaURL)
	l.each(l.lambdaEventInvokeConfig, lambdaEventInvoke)
	l.each(l.topicSubscriptions, snsTopic)
	l.each(l.subscription, snsSubscription)
	l.each(l.topicPolicy, snsTopicPolicy)
	l.each(l.lambdaMapping, lambdaMapping)
	l.each(l.alarm, cloudwatchAlarm)
	l.each(l.experimentTemplate, experimentTemplate)
	l.each(l.connector, "AWS::Serverless::Connector")
	for _, r := range l.order {
		if _, known := attributes[r.typ]; !known && r.exists {
			l.current = r
			l.refuse(r)
		}
	}
	l.current = nil
	l.warnUnkept()
	l.addAPIs()
}

// event is an event whose reading waits for the APIs.
type event struct {
	r    *resource
	read func()
}

// each calls f for every resource of the given types that exists.
func (l *loader) each(f func(*resource), types ...string) {
	for _, r := range l.order {
		for _, t := range types {
			if r.typ == t && r.exists {
				l.current = r
				f(r)
				l.current = nil
			}
		}
	}
}

// servesSAM complains about SAM's types in a template without its transform.
func (l *loader) servesSAM() {
	if l.isServerless() {
		return
	}
	var found []string
	var at tree.Pos
	for _, r := range l.order {
		if strings.HasPrefix(r.typ, "AWS::Serverless::") && r.node != nil {
			if len(found) == 0 {
				at = r.at
			}
			found = append(found, r.typ)
		}
	}
	if len(found) > 0 {
		l.fault(at, "Template format error: Unrecognized resource types: ["+strings.Join(found, ", ")+"]", "add Transform: "+serverlessTransform)
	}
}
