#include "cliplens/server/explorer.h"

#include <set>

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

TEST(Explorer, ThePageIsWithinThePolicyThatItIsSentWith) {
  const std::string page = Text("/index.html");
  ASSERT_FALSE(page.empty());
  for (const char* part : {"<style", " style=", "http://", "https://", "javascript:", " onload="}) {
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace cliplens::server
