#include "cliplens/server/explorer.h"

#include <chrono>
#include <memory>
#include <set>
#include <thread>

#include "tests/planted_store.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/io/json.h"

namespace cliplens::server {
namespace {

std::string Text(const char* path) {
  for (const PageFile& file : PageFiles()) {
    if (std::string_view(file.path) == path) return std::string(file.text);
  }
  return "";
}

TEST(Explorer, RoutesAreThoseOfTheOpenApiFile) {
  const Json openapi = ParseJson(Text("/openapi.json"), "openapi.json");
  std::set<std::string> described;
  for (const auto& [path, methods] : openapi["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) described.insert(method + " " + path);
  }
  std::set<std::string> answered;
  for (const auto& [method, path] : Explorer::RouteNames()) {
    std::string lower = method;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    answered.insert(lower + " " + path);
  }
  EXPECT_EQ(answered, described);
}

TEST(Explorer, NothingIsAnsweredBeforeItIsOpen) {
  Explorer explorer({}, {});
  const Request request{.method = "GET", .path = "/", .query = {}, .headers = {}, .body = ""};
  const std::optional<Response> refused = explorer.Refuse(request);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 403);
}

TEST(Explorer, WaitsForTheWorkOnItsSources) {
  std::atomic<bool> loading = false, source_was_there = false;
  const auto of_source = std::make_shared<int>();
  const TemporaryDirectory directory;
  std::vector<SourceOptions> sources(1);
  sources[0].store.emplace(PlantedStore{}.Write(directory.path() / "store"));
  sources[0].classes = ClassFile{.name = "classes", .names = {"a"}, .labels = {"a"}};
  sources[0].templates = {"{}"};
  sources[0].load_model = [&, of_source](const Store*) -> ClipModel {
    const std::weak_ptr<int> held = of_source;
    std::atomic<bool>& was_there = source_was_there;
    loading = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    was_there = held.use_count() > 1;  // beside the test's own
    throw Error(ErrorCode::kNotFound, "no model");
  };
  {
    Explorer explorer(std::move(sources), {});
    explorer.Open({.host = "127.0.0.1", .port = 1});
    while (!loading) std::this_thread::yield();
  }
  EXPECT_TRUE(source_was_there);
}

TEST(Explorer, ThePageIsWithinThePolicyThatItIsSentWith) {
  const std::string page = Text("/index.html");
  ASSERT_FALSE(page.empty());
  for (const char* part : {"<style", " style=", "http://", "https://", "javascript:", " onload="}) {
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace cliplens::server
