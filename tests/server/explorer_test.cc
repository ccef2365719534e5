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

// Pictures of a source that tell when it is gone.
class WatchedSet : public ImageSet {
 public:
  explicit WatchedSet(std::atomic<bool>& gone) : gone_(gone) {}
  ~WatchedSet() override { gone_ = true; }
  WatchedSet(const WatchedSet&) = delete;
  WatchedSet& operator=(const WatchedSet&) = delete;
  Index size() const override { return 0; }
  Item item(Index) const override { return {}; }
  std::vector<std::uint8_t> Read(Index) const override { return {}; }
  std::optional<std::vector<std::uint8_t>> ReadMask(Index) const override { return std::nullopt; }
  std::string kind() const override { return "none"; }
  std::string root() const override { return ""; }

 private:
  std::atomic<bool>& gone_;
};

TEST(Explorer, WaitsForTheWorkOnItsSources) {
  std::atomic<bool> loading = false, gone = false, source_was_there = false;
  const TemporaryDirectory directory;
  std::vector<SourceOptions> sources(1);
  sources[0].store.emplace(PlantedStore{}.Write(directory.path() / "store"));
  sources[0].classes =
      ClassTexts{.file = {.name = "classes", .names = {"a"}, .labels = {"a"}}, .templates = {"{}"}};
  sources[0].pictures = std::make_unique<WatchedSet>(gone);
  const auto load = [&]() -> LoadedModel {
    loading = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    source_was_there = !gone;
    throw Error(ErrorCode::kNotFound, "no model");
  };
  sources[0].model = LazyModel(std::string(32, '0'), Precision::kF32, load);
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
