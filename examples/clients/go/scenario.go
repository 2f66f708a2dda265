// Creates a task, enqueues it, watches it to its end, and reads its metrics and its log.
//
// BATUTA_ADDRESS (host:port), BATUTA_ACCESS_KEY, BATUTA_SECRET_KEY and BATUTA_SCRIPT (what the task runs) say where and
// what. Ends with status 1 when anything is not as it should be.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	logs "batuta.example/gen/batuta/logs/v1"
	metrics "batuta.example/gen/batuta/metrics/v1"
	tasks "batuta.example/gen/batuta/tasks/v1"
	users "batuta.example/gen/batuta/users/v1"
)

func run() (string, error) {
	channel, err := grpc.Dial(os.Getenv("BATUTA_ADDRESS"), grpc.WithInsecure())
	if err != nil {
		return "", err
	}
	defer channel.Close()
	told, err := loggedIn(channel)
	if err != nil {
		return "", err
	}
	id, err := enqueued(told, channel)
	if err != nil {
		return "", err
	}
	if err := watched(told, channel, id); err != nil {
		return "", err
	}
	text, err := logOf(told, channel, id)
	if err != nil {
		return "", err
	}
	if !strings.Contains(text, "epoch 0\nepoch 1\nepoch 2\nall done\n") {
		return "", fmt.Errorf("the log is %q", text)
	}
	within, cancel := context.WithTimeout(told, 20*time.Second)
	defer cancel()
	listed, err := metrics.NewMetricServiceClient(channel).ListScalars(within, &metrics.ListScalarsRequest{TaskId: id})
	if err != nil {
		return "", err
	}
	for _, each := range listed.Scalars {
		if each.Metric == "loss" && each.Variant == "train" && each.Count == 3 && math.Abs(each.LastValue-1.0/3) < 1e-9 {
			return id, nil
		}
	}
	return "", fmt.Errorf("the metrics are %v", listed.Scalars)
}

// loggedIn returns a context whose calls carry a token.
func loggedIn(channel *grpc.ClientConn) (context.Context, error) {
	within, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	issued, err := users.NewUserServiceClient(channel).IssueToken(within, &users.IssueTokenRequest{
		AccessKey: os.Getenv("BATUTA_ACCESS_KEY"),
		SecretKey: os.Getenv("BATUTA_SECRET_KEY"),
	})
	if err != nil {
		return nil, err
	}
	return metadata.AppendToOutgoingContext(context.Background(),
		"authorization", "Bearer "+issued.Token, "batuta-client", "example-go/1"), nil
}

// enqueued makes a task and enqueues it.
func enqueued(told context.Context, channel *grpc.ClientConn) (string, error) {
	script, err := os.ReadFile(os.Getenv("BATUTA_SCRIPT"))
	if err != nil {
		return "", err
	}
	within, cancel := context.WithTimeout(told, 40*time.Second)
	defer cancel()
	client := tasks.NewTaskServiceClient(channel)
	made, err := client.CreateTask(within, &tasks.CreateTaskRequest{
		ProjectName: "clients",
		DisplayName: "from Go",
		Spec: &tasks.TaskSpec{
			Source:      &tasks.Source{Script: string(script), EntryPoint: "train.py"},
			Environment: &tasks.Environment{Requirements: []string{"batuta"}},
		},
	})
	if err != nil {
		return "", err
	}
	_, err = client.EnqueueTask(within, &tasks.EnqueueTaskRequest{
		TaskId: made.Task.Id,
		Queue:  &tasks.EnqueueTaskRequest_QueueName{QueueName: "default"},
	})
	return made.Task.Id, err
}

// watched returns when the task is COMPLETED.
func watched(told context.Context, channel *grpc.ClientConn, id string) error {
	within, cancel := context.WithTimeout(told, 300*time.Second)
	defer cancel()
	stream, err := tasks.NewTaskServiceClient(channel).WatchTask(within, &tasks.WatchTaskRequest{TaskId: id})
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("the stream ended early: %w", err)
		}
		switch status := answer.Task.Status; status.State {
		case tasks.TaskState_TASK_STATE_COMPLETED:
			return nil
		case tasks.TaskState_TASK_STATE_FAILED, tasks.TaskState_TASK_STATE_ABORTED:
			return fmt.Errorf("the task failed: %s", status.Message)
		}
	}
}

// logOf returns the whole log.
func logOf(told context.Context, channel *grpc.ClientConn, id string) (string, error) {
	within, cancel := context.WithTimeout(told, 60*time.Second)
	defer cancel()
	stream, err := logs.NewLogServiceClient(channel).ReadLog(within, &logs.ReadLogRequest{TaskId: id, Follow: true})
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return text.String(), nil
		}
		if err != nil {
			return "", err
		}
		for _, chunk := range part.Chunks {
			text.Write(chunk.Data)
		}
	}
}

func main() {
	id, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "go:", err)
		os.Exit(1)
	}
	fmt.Printf("go: task %s is COMPLETED, its log and metrics are there\n", id)
}
