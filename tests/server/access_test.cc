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
  // The port is that of a tunnel or a container's; a name that was pointed here shows as a name.
  for (const char* host : {"127.0.0.1:7878", "localhost:7878", "LocalHost:7878", "[::1]:7878",
                           "127.0.0.1", "127.0.0.1:78", "localhost:9920", "127.8.0.1:7878"}) {
    EXPECT_EQ(StatusOf(access, {{"host", host}}), 200) << host;
  }
  for (const char* host :
       {"evil.example:7878", "127.0.0.1:7878.evil", "10.0.0.1:7878", "evil@127.0.0.1:7878",
        " 127.0.0.1:7878", "localhost.evil.example:7878", "127.evil.example", "localhost:", ":7878",
        "localhost:7878:7878", "[::1", "[::1]x", "[::2]:7878", "localhost, evil.example",
        "localhost/", "localhost:123456", "0.0.0.0:7878"}) {
    EXPECT_EQ(StatusOf(access, {{"host", host}}), 403) << host;
  }
  EXPECT_EQ(StatusOf(access, {}), 400);
}

TEST(Access, EveryAddressIsReachedByNumbersAndGivenNames) {
  const Access access({.host = "0.0.0.0", .port = 80, .token = "", .names = {"Lab.example"}});
  for (const char* host : {"192.168.1.5:80", "[fe80::1]:80", "lab.example", "192.168.1.5:9920",
                           "lab.EXAMPLE:9920", "localhost:9920"}) {
    EXPECT_EQ(StatusOf(access, {{"host", host}}), 200) << host;
  }
  EXPECT_EQ(StatusOf(access, {{"host", "evil.example:80"}}), 403);
  EXPECT_EQ(StatusOf(access, {{"host", "lab.example.evil.example"}}), 403);
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

TEST(Access, PagesOfGivenNamesAreItsOwn) {
  const Access access({.host = "127.0.0.1",
                       .port = 7878,
                       .token = "",
                       .names = {"clip.example", "lab.example:8443"}});
  // A proxy keeps the browser's Host, with its port or without, or puts its own.
  for (const char* host : {"clip.example:9920", "clip.example", "127.0.0.1:7878"}) {
    for (const char* origin :
         {"https://clip.example:9920", "https://clip.example", "http://clip.example:80",
          "https://lab.example:8443", "http://lab.example:8443"}) {
      EXPECT_EQ(StatusOf(access, {{"host", host}, {"origin", origin}}), 200) << host << origin;
      EXPECT_EQ(
          StatusOf(access, {{"host", host}, {"origin", origin}, {"sec-fetch-site", "same-site"}}),
          403);
    }
    for (const char* origin :
         {"https://clip.example.evil", "https://evil.example", "https://lab.example",
          "https://lab.example:9000", "ftp://clip.example", "clip.example", "https://clip.example/",
          "https://x@clip.example", "null", "https://", "http://localhost:5000"}) {
      EXPECT_EQ(StatusOf(access, {{"host", host}, {"origin", origin}}), 403) << host << origin;
    }
  }
  EXPECT_EQ(StatusOf(access, {{"host", "lab.example:1"}}), 200);
}

TEST(Access, ProxiesOnThisMachineMayPutTheirOwnHost) {
  const Access access({.host = "127.0.0.1", .port = 7878});
  const std::string host = "127.0.0.1:7878";
  const auto status = [&](const std::string& origin, const std::string& site) {
    return StatusOf(access, {{"host", host}, {"origin", origin}, {"sec-fetch-site", site}});
  };
  EXPECT_EQ(status("http://localhost:9923", "same-origin"), 200);
  EXPECT_EQ(status("https://localhost:9923", "same-origin"), 200);
  EXPECT_EQ(status("http://localhost:9923", "same-site"), 403);  // another program's page
  EXPECT_EQ(status("http://localhost:9923", "none"), 403);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"origin", "http://localhost:9923"}}), 403);
  EXPECT_EQ(status("http://evil.example:9923", "same-origin"), 403);  // a name pointed at the proxy
}

TEST(Access, ForwardedHeadersCountBehindAProxyAlone) {
  const auto access = [](bool behind_proxy) {
    return Access({.host = "127.0.0.1",
                   .port = 7878,
                   .token = "",
                   .names = {"clip.example"},
                   .behind_proxy = behind_proxy});
  };
  using Headers = std::map<std::string, std::string>;
  const Headers https = {{"host", "127.0.0.1:7878"},
                         {"x-forwarded-host", "127.0.0.1:9920"},
                         {"x-forwarded-proto", "https"},
                         {"origin", "https://127.0.0.1:9920"}};
  EXPECT_EQ(StatusOf(access(true), https), 200);
  EXPECT_EQ(StatusOf(access(false), https), 403);
  // A page that reaches the server itself may send what it likes.
  const Headers pointed = {{"host", "evil.example:7878"}, {"x-forwarded-host", "clip.example"}};
  EXPECT_EQ(StatusOf(access(true), pointed), 403);
  EXPECT_EQ(StatusOf(access(false), pointed), 403);
  // The proxy tells that another name was asked.
  for (const char* hosts : {"evil.example", "clip.example, evil.example",
                            "evil.example, clip.example", "clip.example,", "clip.example/"}) {
    const Headers other = {{"host", "127.0.0.1:7878"}, {"x-forwarded-host", hosts}};
    EXPECT_EQ(StatusOf(access(true), other), std::string(hosts) == "clip.example," ? 200 : 403)
        << hosts;
    EXPECT_EQ(StatusOf(access(false), other), 200) << hosts;
  }
  Headers chain = https;
  chain["x-forwarded-host"] = "127.0.0.1:9920, clip.example";
  chain["x-forwarded-proto"] = "https, http";
  EXPECT_EQ(StatusOf(access(true), chain), 200);
}

TEST(Access, TokenIsNeededAndNeverTold) {
  const std::string token = "0123456789abcdef";
  const Access access({.host = "127.0.0.1", .port = 7878, .token = token});
  const std::string host = "localhost:7878";
  EXPECT_EQ(StatusOf(access, {{"host", host}}), 401);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"authorization", "Bearer " + token}}), 200);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"authorization", "Bearer " + token + "0"}}), 401);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"authorization", "Bearer "}}), 401);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"cookie", "a=b; cliplens_token_7878=" + token}}),
            200);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"cookie", "cliplens_token_7879=" + token}}), 401);
  EXPECT_EQ(StatusOf(access, {{"host", host}, {"cookie", "xcliplens_token_7878=" + token}}), 401);
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
  const std::string cookie = "cliplens_token_7878=" + token + "; HttpOnly; SameSite=Strict";
  EXPECT_EQ(accepted->headers, (std::vector<std::pair<std::string, std::string>>{
                                   {"Location", "./"}, {"Set-Cookie", cookie}}));
  EXPECT_EQ(access.SecretAddress(), "http://127.0.0.1:7878/?token=" + token);
  EXPECT_EQ(access.Address(), "http://127.0.0.1:7878/");
}

TEST(Access, ACookieIsOfThePortThatTheBrowserAsked) {
  const std::string token = "0123456789abcdef";
  const Access access({.host = "127.0.0.1",
                       .port = 7878,
                       .token = token,
                       .names = {"clip.example"},
                       .behind_proxy = true});
  const auto cookie = [&](std::map<std::string, std::string> headers) {
    Request request = Get("/", std::move(headers));
    request.query["token"] = token;
    const auto response = access.SignIn(request);
    return response ? response->headers.at(1).second : "none";
  };
  const std::string rest = token + "; HttpOnly; SameSite=Strict";
  EXPECT_EQ(cookie({{"host", "localhost:9920"}}), "cliplens_token_9920=" + rest);
  EXPECT_EQ(cookie({{"host", "clip.example"}}), "cliplens_token_7878=" + rest);
  EXPECT_EQ(cookie({{"host", "localhost:7878"},
                    {"x-forwarded-host", "clip.example:8443"},
                    {"x-forwarded-proto", "https"}}),
            "cliplens_token_8443=" + rest + "; Secure");
  EXPECT_EQ(cookie({{"host", "evil.example"}}), "none");
  EXPECT_EQ(cookie({{"host", "localhost:7878"}, {"x-forwarded-host", "evil.example"}}), "none");
}

TEST(Access, HostNames) {
  for (const char* name : {"a", "lab.example", "Lab-1.example:8443", "10.0.0.1", "[::1]:80"}) {
    EXPECT_TRUE(IsHostName(name)) << name;
  }
  for (const char* name : {"", "http://lab", "lab/", "a b", "lab:", "lab:x", "[::1", "::1", "*"}) {
    EXPECT_FALSE(IsHostName(name)) << name;
  }
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
