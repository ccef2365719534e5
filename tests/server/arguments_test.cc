#include "cliplens/server/arguments.h"

#include "tests/expect_error.h"
#include <gtest/gtest.h>

namespace cliplens::server {
namespace {

Arguments Of(const std::string& body) {
  Request request;
  request.body = body;
  return Arguments(request);
}

void ExpectRefused(const std::string& words, const std::function<void()>& body) {
  ExpectError(ErrorCode::kInvalidArgument, words, body);
}

TEST(Arguments, AreTaken) {
  const Arguments a = Of(R"({"text": "a duck", "count": 3, "x": 0.5, "yes": true, "none": null,
                             "list": ["a", "b"], "in": {"heads": "L1"}, "terms": [{"n": 1}]})");
  EXPECT_EQ(a.Text("text"), "a duck");
  EXPECT_EQ(a.Text("none", "other"), "other");
  EXPECT_EQ(a.Count("count", 1, 1, 5), 3);
  EXPECT_EQ(a.Count("absent", 4, 1, 5), 4);
  EXPECT_EQ(a.Number("x", 0), 0.5);
  EXPECT_TRUE(a.Flag("yes"));
  EXPECT_FALSE(a.Flag("none"));
  EXPECT_FALSE(a.Has("none"));
  EXPECT_EQ(a.Texts("list", 2), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(a.Texts("absent", 2).empty());
  EXPECT_EQ(a.Object("in").Text("heads"), "L1");
  EXPECT_EQ(a.Objects("terms", 1).at(0).Count("n", 0, 0, 9), 1);
}

TEST(Arguments, AreRefusedByName) {
  for (const char* body : {"", "[]", "3", "{", "{\"a\":1,\"a\":2}", "\xff"}) {
    ExpectRefused("the request's body", [&] { Of(body); });
  }
  const Arguments a = Of(R"({"n": 1.5, "t": 3, "list": [1], "in": {"t": 3}, "terms": [],
                             "many": ["a", "b", "c"], "huge": 1e300})");
  ExpectRefused("missing", [&] { static_cast<void>(a.Text("absent")); });
  ExpectRefused("t: a text", [&] { static_cast<void>(a.Text("t")); });
  ExpectRefused("in.t: a text", [&] { static_cast<void>(a.Object("in").Text("t")); });
  ExpectRefused("n: a whole number", [&] { static_cast<void>(a.Count("n", 0, 0, 9)); });
  ExpectRefused("huge: a whole number", [&] { static_cast<void>(a.Count("huge", 0, 0, 9)); });
  ExpectRefused("t: a whole number from 0 to 2", [&] { static_cast<void>(a.Count("t", 0, 0, 2)); });
  ExpectRefused("list[0]: a text", [&] { static_cast<void>(a.Texts("list", 5)); });
  ExpectRefused("many: a list of at most 2", [&] { static_cast<void>(a.Texts("many", 2)); });
  ExpectRefused("terms: a list of 1 to 8", [&] { static_cast<void>(a.Objects("terms", 8)); });
  ExpectRefused("t: true or false", [&] { static_cast<void>(a.Flag("t")); });
  const Arguments long_text = Of("{\"t\": \"" + std::string(5'000, 'x') + "\"}");
  ExpectRefused("5000 bytes", [&] { static_cast<void>(long_text.Text("t")); });
}

TEST(Arguments, NumbersOfPathsAndQueries) {
  EXPECT_EQ(NumberOf("12", "picture"), 12);
  for (const char* text : {"", "-1", "1e3", "0x1", " 1", "99999999999999999999"}) {
    ExpectError(ErrorCode::kNotFound, "there is no picture", [&] { NumberOf(text, "picture"); });
  }
  Request request;
  request.query["count"] = "7";
  request.query["bad"] = "7x";
  EXPECT_EQ(CountOf(request, "count", 1, 1, 9), 7);
  EXPECT_EQ(CountOf(request, "absent", 1, 1, 9), 1);
  ExpectRefused("count", [&] { CountOf(request, "count", 1, 1, 5); });
  ExpectRefused("bad", [&] { CountOf(request, "bad", 1, 1, 9); });
}

}  // namespace
}  // namespace cliplens::server
