package sqs

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/queue"
)

const movesMax = 10

// A handle names a move: what AWS's handles have in them, in base64.
type handle struct {
	Task   string `json:"taskId"`
	Source string `json:"sourceArn"`
}

func handleOf(m *queue.Move, source string) handle {
	return handle{strconv.FormatInt(m.Number, 10), source}
}

func (h handle) String() string {
	raw, _ := json.Marshal(h) // texts and numbers cannot fail
	return base64.StdEncoding.EncodeToString(raw)
}

func noResource() *failure {
	return fault(resourceNotFound, "The resource that you specified for the SourceArn parameter doesn't exist.")
}

func noTask() *failure { return fault(resourceNotFound, "Task does not exist.") }

// source returns the queue an ARN names.
func (d *Door) source(arn string) (*queue.Queue, *failure) {
	if arn == "" {
		return nil, missing("SourceArn")
	}
	if !strings.HasPrefix(arn, "arn:") || strings.Count(arn, ":") != 5 {
		return nil, badValue(arn, "SourceArn", "It is no ARN of a queue.")
	}
	name, ok := Name(d.place, arn)
	if is := d.queues.Queue(name); ok && is != nil {
		return is, nil
	}
	return nil, noResource()
}

type taskHandle struct {
	TaskHandle string `json:"TaskHandle" xml:"TaskHandle"`
}

func (d *Door) startMessageMoveTask(c *call) (any, *failure) {
	is, fail := d.source(c.in.SourceARN)
	if fail != nil {
		return nil, fail
	}
	to := ""
	if arn := c.in.DestinationARN; arn != "" {
		name, ok := Name(d.place, arn)
		if !ok || d.queues.Queue(name) == nil {
			return nil, fault(resourceNotFound, "The resource that you specified for the DestinationArn parameter doesn't exist.")
		}
		to = name
	}
	rate, fail := number(c.in.MaxNumberOfMessagesRate, "MaxNumberOfMessagesPerSecond", 1, queue.MoveRateMax, 0)
	if fail != nil {
		return nil, fail
	}
	m, err := d.queues.Move(c.ctx, is.Name, to, rate)
	switch {
	case errors.Is(err, queue.ErrNoDeadLetters):
		return nil, fault(invalidParameter, "Source queue must be configured as a Dead Letter Queue.")
	case errors.Is(err, queue.ErrMoving):
		return nil, fault(invalidParameter, "There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
	case err != nil:
		return nil, failureOf(err)
	}
	return taskHandle{handleOf(m, c.in.SourceARN).String()}, nil
}

type cancelled struct {
	Moved int64 `json:"ApproximateNumberOfMessagesMoved" xml:"ApproximateNumberOfMessagesMoved"`
}

func (d *Door) cancelMessageMoveTask(c *call) (any, *failure) {
	if c.in.TaskHandle == "" {
		return nil, missing("TaskHandle")
	}
	var h handle
	raw, err := base64.StdEncoding.DecodeString(c.in.TaskHandle)
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return nil, fault(invalidParameter, "Value for parameter TaskHandle is invalid.")
	}
	is, fail := d.source(h.Source)
	if fail != nil {
		return nil, fail
	}
	number, err := strconv.ParseInt(h.Task, 10, 64)
	if err != nil {
		return nil, noTask()
	}
	m, err := d.queues.CancelMove(c.ctx, is.Name, number)
	switch {
	case errors.Is(err, queue.ErrNoMove):
		return nil, noTask()
	case err != nil:
		return nil, failureOf(err)
	}
	return cancelled{m.Moved}, nil
}

// A task is a move as it is told of.
type task struct {
	TaskHandle     string `json:"TaskHandle,omitempty" xml:"TaskHandle,omitempty"`
	Status         string `json:"Status" xml:"Status"`
	SourceARN      string `json:"SourceArn" xml:"SourceArn"`
	DestinationARN string `json:"DestinationArn,omitempty" xml:"DestinationArn,omitempty"`
	Rate           int    `json:"MaxNumberOfMessagesPerSecond,omitempty" xml:"MaxNumberOfMessagesPerSecond,omitempty"`
	Moved          int64  `json:"ApproximateNumberOfMessagesMoved" xml:"ApproximateNumberOfMessagesMoved"`
	ToMove         int64  `json:"ApproximateNumberOfMessagesToMove" xml:"ApproximateNumberOfMessagesToMove"`
	FailureReason  string `json:"FailureReason,omitempty" xml:"FailureReason,omitempty"`
	Started        int64  `json:"StartedTimestamp" xml:"StartedTimestamp"`
}

type moveTasks struct {
	Results []task `json:"Results" xml:"ListMessageMoveTasksResultEntry"`
}

func (d *Door) listMessageMoveTasks(c *call) (any, *failure) {
	is, fail := d.source(c.in.SourceARN)
	if fail != nil {
		return nil, fail
	}
	most, fail := number(c.in.MaxResults, "MaxResults", 1, movesMax, 1)
	if fail != nil {
		return nil, fail
	}
	list, err := d.queues.Moves(c.ctx, is.Name)
	if err != nil {
		return nil, failureOf(err)
	}
	out := moveTasks{Results: []task{}}
	for _, m := range list[:min(most, len(list))] {
		t := task{Status: strings.ToUpper(m.State), SourceARN: c.in.SourceARN, Rate: m.Rate, Moved: m.Moved, ToMove: m.Count, FailureReason: m.Failure, Started: m.Started.UnixMilli()}
		if m.State == queue.MoveRunning {
			t.TaskHandle = handleOf(m, c.in.SourceARN).String()
		}
		if m.To != "" {
			t.DestinationARN = ARN(d.place, m.To)
		}
		out.Results = append(out.Results, t)
	}
	return out, nil
}
