#include "cliplens/server/access.h"

#include <gtest/gtest.h>

namespace cliplens::server {
namespace {

Request Get(const std::string& path, std::map<std::string, std::string> headers) {
  return {.method = "GET", .path = path, .query = {}, .headers = std::move(headers), .body = ""};
}

int StatusOf(const Access& access, std::map<std::string, std::string> headers) {
  const std::optional<Response> refused = access.Check(Get("/api/v1/sources", std::move(headers)));
  return refused ? refused->status : 200;
}

TEST(Access, OnlyOwnHosts) {
  const Access access({.host = "127.0.0.1", .port = 7878});
  for (const char* host : {"127.0.0.1:7878", "localhost:7878", "LocalHost:7878", "[::1]:7878"}) {
    EXPECT_EQ(StatusOf(access, {{"host", host}}), 200) << host;
  }
  for (const char* host : {"evil.example:7878", "127.0.0.1", "127.0.0.1:78", "127.0.0.1:7878.evil",
                           "10.0.0.1:7878", "evil@127.0.0.1:7878", " 127.0.0.1:7878"}) {
    EXPECT_EQ(StatusOf(access, {{"host", host}}), 403) << host;
  }
  EXPECT_EQ(StatusOf(access, {}), 400);
}

TEST(Access, EveryAddressIsReachedByNumbersAndGivenNames) {
  const Access access({.host = "0.0.0.0", .port = 80, .token = "", .names = {"Lab.example"}});
  EXPECT_EQ(StatusOf(access, {{"host", "192.168.1.5:80"}}), 200);
  EXPECT_EQ(StatusOf(access, {{"host", "[fe80::1]:80"}}), 200);
  EXPECT_EQ(StatusOf(access, {{"host", "lab.example"}}), 200);
  EXPECT_EQ(StatusOf(access, {{"host", "evil.example:80"}}), 403);
}

TEST(Access, OtherOriginsAreRefused) {
  const Access access({.host = "127.0.0.1", .port = 7878});
  const std::string host = "localhost:7878";
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"origin", "http://localhost:7878"}}), 200);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"origin", "http://127.0.0.1:7878"}}), 403);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"origin", "https://localhost:7878"}}), 403);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"origin", "null"}}), 403);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"sec-fetch-site", "same-origin"}}), 200);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"sec-fetch-site", "cross-site"}}), 403);
  // A link on another page may open the page, nothing else.
  Request link =
      Get("/", {{"host", host}, {"sec-fetch-site", "cross-site"}, {"sec-fetch-mode", "navigate"}});
  EXPECT_FALSE(access.Check(link));
  link.path = "/api/v1/sources";
  EXPECT_TRUE(access.Check(link));
}

TEST(Access, TokenIsNeededAndNeverTold) {
  const std::string token = "0123456789abcdef";
  const Access access({.host = "127.0.0.1", .port = 7878, .token = token});
  const std::string host = "localhost:7878";
  EXPECT_EQ(StatusOf(access, {{"host", host}}), 401);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"authorization", "Bearer " + token}}), 200);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"authorization", "Bearer " + token + "0"}}), 401);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"authorization", "Bearer "}}), 401);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"cookie", "a=b; cliplens_token=" + token}}), 200);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"cookie", "xcliplens_token=" + token}}), 401);
  for (const char* other : {"evil:1", "localhost:7878"}) {
    const auto refused = access.Check(Get("/", {{"host", other}}));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->body.find(token), std::string::npos);
  }
  Request sign_in = Get("/", {{"host", host}});
  EXPECT_FALSE(access.SignIn(sign_in));
  sign_in.query["token"] = token.substr(1);
  EXPECT_FALSE(access.SignIn(sign_in));
  sign_in.query["token"] = token;
  const auto accepted = access.SignIn(sign_in);
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->status, 303);
  EXPECT_EQ(access.SecretAddress(), "http://127.0.0.1:7878/?token=" + token);
  EXPECT_EQ(access.Address(), "http://127.0.0.1:7878/");
}

TEST(Access, Loopback) {
  for (const char* host : {"127.0.0.1", "127.8.0.1", "::1", "localhost"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "127.evil.example", "example"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(Access, Secrets) {
  EXPECT_TRUE(SameSecret("abc", "abc"));
  EXPECT_FALSE(SameSecret("abc", "abd"));
  EXPECT_FALSE(SameSecret("abcabc", "abc"));
  EXPECT_FALSE(SameSecret("", "abc"));
  EXPECT_FALSE(SameSecret("abc", ""));
  EXPECT_EQ(MakeToken().size(), 32U);
  EXPECT_NE(MakeToken(), MakeToken());
}

}  // namespace
}  // namespace cliplens::server
