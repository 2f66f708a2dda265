// Creates a task, enqueues it, watches it to its end, and reads its metrics and its log.
//
// BATUTA_ADDRESS (host:port), BATUTA_ACCESS_KEY, BATUTA_SECRET_KEY and BATUTA_SCRIPT (what the task runs) say where and
// what. Ends with status 1 when anything is not as it should be.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

import { ClientReadableStream, credentials, Metadata, ServiceError } from "@grpc/grpc-js";

import { LogServiceClient, ReadLogRequest } from "./gen/batuta/logs/v1/log_service";
import { ListScalarsRequest, MetricServiceClient } from "./gen/batuta/metrics/v1/metric_service";
import { TaskSpec, TaskState } from "./gen/batuta/tasks/v1/task";
import { EnqueueTaskRequest } from "./gen/batuta/tasks/v1/task_lifecycle";
import { CreateTaskRequest, TaskServiceClient } from "./gen/batuta/tasks/v1/task_service";
import { WatchTaskRequest } from "./gen/batuta/tasks/v1/task_watch";
import { IssueTokenRequest, UserServiceClient } from "./gen/batuta/users/v1/user_service";

const ENDED = [TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_FAILED, TaskState.TASK_STATE_ABORTED];

function environment(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`set ${name}`);
  return value;
}

function check(right: boolean, what: string): void {
  if (!right) throw new Error(what);
}

function within(seconds: number): { deadline: number } {
  return { deadline: Date.now() + seconds * 1000 };
}

type Answer<T> = (error: ServiceError | null, answer: T) => void;

function unary<T>(call: (answer: Answer<T>) => unknown): Promise<T> {
  return new Promise((resolve, reject) => call((error, answer) => (error === null ? resolve(answer) : reject(error))));
}

async function main(): Promise<void> {
  const address = environment("BATUTA_ADDRESS");
  const plain = credentials.createInsecure();
  const users = new UserServiceClient(address, plain);
  const tasks = new TaskServiceClient(address, plain);
  const logs = new LogServiceClient(address, plain);
  const metrics = new MetricServiceClient(address, plain);

  const login = IssueTokenRequest.fromPartial({
    accessKey: environment("BATUTA_ACCESS_KEY"),
    secretKey: environment("BATUTA_SECRET_KEY"),
  });
  const issued = await unary<{ token: string }>((done) => users.issueToken(login, new Metadata(), within(20), done));
  const told = new Metadata();
  told.set("authorization", `Bearer ${issued.token}`);
  told.set("batuta-client", "example-typescript/1");

  const source = { script: readFileSync(environment("BATUTA_SCRIPT"), "utf8"), entryPoint: "train.py" };
  const create = CreateTaskRequest.fromPartial({
    projectName: "clients",
    displayName: "from TypeScript",
    spec: TaskSpec.fromPartial({ source, environment: { requirements: ["batuta"] } }),
    requestId: randomUUID(),
  });
  const made = await unary<{ task?: { id: string } }>((done) => tasks.createTask(create, told, within(20), done));
  const taskId = made.task?.id ?? "";
  check(taskId !== "", "no task was made");
  const enqueue = EnqueueTaskRequest.fromPartial({ taskId, queueName: "default", requestId: randomUUID() });
  await unary((done) => tasks.enqueueTask(enqueue, told, within(20), done));

  let state = TaskState.TASK_STATE_UNSPECIFIED;
  const watched = tasks.watchTask(WatchTaskRequest.fromPartial({ taskId }), told, within(300));
  for await (const answer of watched as ClientReadableStream<{ task?: { status?: { state: TaskState; message: string } } }>) {
    state = answer.task?.status?.state ?? state;
    if (ENDED.includes(state)) {
      check(state === TaskState.TASK_STATE_COMPLETED, `the task failed: ${answer.task?.status?.message}`);
      watched.on("error", () => undefined); // that of the cancellation
      watched.cancel(); // leaving the loop alone would keep the call open
      break;
    }
  }
  check(state === TaskState.TASK_STATE_COMPLETED, `the stream ended early, in state ${state}`);

  let text = "";
  const read = logs.readLog(ReadLogRequest.fromPartial({ taskId, follow: true }), told, within(60));
  for await (const part of read as ClientReadableStream<{ chunks: { data: Uint8Array }[] }>) {
    for (const chunk of part.chunks) text += Buffer.from(chunk.data).toString("utf8");
  }
  check(text.includes("epoch 0\nepoch 1\nepoch 2\nall done\n"), `the log is ${JSON.stringify(text)}`);

  const asked = ListScalarsRequest.fromPartial({ taskId });
  type Listed = { scalars: { metric: string; variant: string; count: string; lastValue: number }[] };
  const listed = await unary<Listed>((done) => metrics.listScalars(asked, told, within(20), done));
  const loss = listed.scalars.find((each) => each.metric === "loss" && each.variant === "train");
  check(loss?.count === "3" && Math.abs(loss.lastValue - 1 / 3) < 1e-9, `the metrics are ${JSON.stringify(listed)}`);
  console.log(`typescript: task ${taskId} is COMPLETED, its log and metrics are there`);
}

main().catch((error: unknown) => {
  console.error(`typescript: ${String(error)}`);
  process.exit(1);
});
