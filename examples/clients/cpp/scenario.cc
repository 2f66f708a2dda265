// Creates a task, enqueues it, watches it to its end, and reads its metrics and its log.
//
// BATUTA_ADDRESS (host:port), BATUTA_ACCESS_KEY, BATUTA_SECRET_KEY and BATUTA_SCRIPT (what the task runs) say where and
// what. Ends with status 1 when anything is not as it should be.

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>

#include "batuta/logs/v1/log_service.grpc.pb.h"
#include "batuta/metrics/v1/metric_service.grpc.pb.h"
#include "batuta/tasks/v1/task_service.grpc.pb.h"
#include "batuta/users/v1/user_service.grpc.pb.h"

namespace tasks = batuta::tasks::v1;
namespace logs = batuta::logs::v1;
namespace metrics = batuta::metrics::v1;
namespace users = batuta::users::v1;

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string("set ") + name);
  return value;
}

void check(bool right, const std::string& what) {
  if (!right) throw std::runtime_error(what);
}

void check(const grpc::Status& status, const std::string& what) {
  check(status.ok(), what + ": " + status.error_message());
}

// What every call carries: how long it may take, and who makes it.
std::unique_ptr<grpc::ClientContext> context(int seconds, const std::string& token) {
  auto made = std::make_unique<grpc::ClientContext>();
  made->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
  made->AddMetadata("batuta-client", "example-cpp/1");
  if (!token.empty()) made->AddMetadata("authorization", "Bearer " + token);
  return made;
}

std::string log_in(const std::shared_ptr<grpc::Channel>& channel) {
  users::IssueTokenRequest request;
  request.set_access_key(environment("BATUTA_ACCESS_KEY"));
  request.set_secret_key(environment("BATUTA_SECRET_KEY"));
  users::IssueTokenResponse response;
  check(users::UserService::NewStub(channel)->IssueToken(context(20, "").get(), request, &response), "IssueToken");
  return response.token();
}

std::string enqueue(tasks::TaskService::Stub& stub, const std::string& token) {
  std::ifstream file(environment("BATUTA_SCRIPT"));
  std::stringstream script;
  script << file.rdbuf();
  tasks::CreateTaskRequest create;
  create.set_project_name("clients");
  create.set_display_name("from C++");
  create.mutable_spec()->mutable_source()->set_script(script.str());
  create.mutable_spec()->mutable_source()->set_entry_point("train.py");
  create.mutable_spec()->mutable_environment()->add_requirements("batuta");
  tasks::CreateTaskResponse made;
  check(stub.CreateTask(context(20, token).get(), create, &made), "CreateTask");
  tasks::EnqueueTaskRequest request;
  request.set_task_id(made.task().id());
  request.set_queue_name("default");
  tasks::EnqueueTaskResponse response;
  check(stub.EnqueueTask(context(20, token).get(), request, &response), "EnqueueTask");
  return made.task().id();
}

void watch(tasks::TaskService::Stub& stub, const std::string& token, const std::string& id) {
  tasks::WatchTaskRequest request;
  request.set_task_id(id);
  auto around = context(300, token);
  auto stream = stub.WatchTask(around.get(), request);
  tasks::WatchTaskResponse answer;
  while (stream->Read(&answer)) {
    const auto& status = answer.task().status();
    if (status.state() == tasks::TASK_STATE_COMPLETED) {
      around->TryCancel();
      while (stream->Read(&answer)) {
      }
      stream->Finish();
      return;
    }
    check(status.state() != tasks::TASK_STATE_FAILED && status.state() != tasks::TASK_STATE_ABORTED,
          "the task failed: " + status.message());
  }
  check(stream->Finish(), "WatchTask");
  check(false, "the stream ended early");
}

std::string log_of(const std::shared_ptr<grpc::Channel>& channel, const std::string& token, const std::string& id) {
  logs::ReadLogRequest request;
  request.set_task_id(id);
  request.set_follow(true);
  auto stub = logs::LogService::NewStub(channel);
  auto around = context(60, token);
  auto stream = stub->ReadLog(around.get(), request);
  logs::ReadLogResponse part;
  std::string text;
  while (stream->Read(&part)) {
    for (const auto& chunk : part.chunks()) text += chunk.data();
  }
  check(stream->Finish(), "ReadLog");
  return text;
}

bool has_loss(const metrics::ListScalarsResponse& listed) {
  for (const auto& each : listed.scalars()) {
    if (each.metric() == "loss" && each.variant() == "train" && each.count() == 3 &&
        std::abs(each.last_value() - 1.0 / 3) < 1e-9) {
      return true;
    }
  }
  return false;
}

void run() {
  auto channel = grpc::CreateChannel(environment("BATUTA_ADDRESS"), grpc::InsecureChannelCredentials());
  const std::string token = log_in(channel);
  auto stub = tasks::TaskService::NewStub(channel);
  const std::string id = enqueue(*stub, token);
  watch(*stub, token, id);
  const std::string text = log_of(channel, token, id);
  check(text.find("epoch 0\nepoch 1\nepoch 2\nall done\n") != std::string::npos, "the log is " + text);
  metrics::ListScalarsRequest request;
  request.set_task_id(id);
  metrics::ListScalarsResponse listed;
  check(metrics::MetricService::NewStub(channel)->ListScalars(context(20, token).get(), request, &listed), "ListScalars");
  check(has_loss(listed), "the metrics are " + listed.ShortDebugString());
  std::cout << "cpp: task " << id << " is COMPLETED, its log and metrics are there" << std::endl;
}

}  // namespace

int main() {
  try {
    run();
  } catch (const std::exception& error) {
    std::cerr << "cpp: " << error.what() << std::endl;
    return 1;
  }
  return 0;
}
