#include "cliplens/server/request_head.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace cliplens::server {
namespace {

constexpr int kMoreWanted = 0;

// The status that the head is refused with, 200 where it is read, 0 where more is wanted.
int StatusOf(const std::string& text) {
  HeadReader head;
  const HeadReader::State state = head.Read(text);
  if (state == HeadReader::kMore) return kMoreWanted;
  return state == HeadReader::kDone ? 200 : head.problem()->status;
}

TEST(RequestHead, GivesItsParts) {
  const std::string text =
      "POST /a%20b/c?x=1&y=a+b%26&x=2&flag HTTP/1.1\r\nHost:  h:1 \r\nCookie: a=1\r\ncookie: "
      "b=2\r\n"
      "X-One: 1\r\nX-ONE: 2\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabcGET";
  HeadReader head;
  ASSERT_EQ(head.Read(text), HeadReader::kDone);
  const Request& request = head.request();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/a b/c");
  EXPECT_EQ(request.parameter("x"), "1");
  EXPECT_EQ(request.parameter("y"), "a b&");
  EXPECT_EQ(request.query.count("flag"), 1U);
  EXPECT_EQ(request.header("host"), "h:1");
  EXPECT_EQ(request.header("cookie"), "a=1; b=2");
  EXPECT_EQ(request.header("x-one"), "1, 2");
  EXPECT_EQ(head.body_bytes(), 3);
  EXPECT_EQ(text.substr(ToSize(head.size())), "abcGET");
  EXPECT_TRUE(head.keep_alive());
  EXPECT_TRUE(head.wants_continue());
  EXPECT_FALSE(head.is_http_1_0());
}

TEST(RequestHead, MayComeByteByByte) {
  const std::string text = "GET /path HTTP/1.0\r\nHost: x\r\nAccept: */*\r\n\r\n";
  HeadReader head;
  for (std::size_t size = 0; size < text.size(); ++size) {
    ASSERT_EQ(head.Read(text.substr(0, size)), HeadReader::kMore) << size;
  }
  ASSERT_EQ(head.Read(text), HeadReader::kDone);
  EXPECT_EQ(head.size(), static_cast<Index>(text.size()));
  EXPECT_EQ(head.request().header("accept"), "*/*");
  EXPECT_TRUE(head.is_http_1_0());
  EXPECT_FALSE(head.keep_alive());
}

TEST(RequestHead, IsRefusedWhereItCouldBeReadInTwoWays) {
  const std::string line = "POST /a HTTP/1.1\r\n";
  const std::string host = "Host: x\r\n";
  const std::string length = "Content-Length: 3\r\n";
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  const std::string end = "\r\n";
  struct Form {
    const char* name;
    std::string text;
    int status;
  };
  const std::vector<Form> forms = {
      {"as it should be", line + host + length + end, 200},
      {"CL.TE", line + host + length + chunked + end, 400},
      {"TE.CL", line + host + chunked + length + end, 400},
      {"chunks alone", line + host + chunked + end, 411},
      {"two encodings", line + host + chunked + chunked + end, 400},
      {"an encoding of another name", line + host + "Transfer-Encoding: xchunked\r\n" + end, 411},
      {"TE.TE", line + host + "Transfer-Encoding: chunked, identity\r\n" + length + end, 400},
      {"an empty encoding", line + host + "Transfer-Encoding:\r\n" + length + end, 400},
      {"a blank before the colon of an encoding",
       line + host + "Transfer-Encoding : chunked\r\n" + end, 400},
      {"a blank before a colon", line + host + "Content-Length : 3\r\n" + end, 400},
      {"a tab before a colon", line + host + "Content-Length\t: 3\r\n" + end, 400},
      {"a blank before a name", line + " " + host + length + end, 400},
      {"no colon", line + host + "Content-Length 3\r\n" + end, 400},
      {"no name", line + host + ": 3\r\n" + end, 400},
      {"a folded line", line + "Host: x\r\n y\r\n" + length + end, 400},
      {"a folded line by a tab", line + host + "X: a\r\n\tContent-Length: 3\r\n" + end, 400},
      {"a value on the second line", line + host + "Content-Length:\r\n 3\r\n" + end, 400},
      {"line feeds alone", "POST /a HTTP/1.1\nHost: x\nContent-Length: 3\n\n", 400},
      {"one line feed alone", line + "Host: x\n" + length + end, 400},
      {"a line feed as the end", line + host + length + "\n", kMoreWanted},
      {"a line feed in a value", line + host + "X: a\nContent-Length: 3\r\n" + end, 400},
      {"a carriage return alone", line + host + "X: a\rContent-Length: 3\r\n" + end, 400},
      {"two carriage returns", line + host + "X: a\r\r\n" + length + end, 400},
      {"a zero in a value", line + host + std::string("X: a\0b\r\n", 8) + length + end, 400},
      {"a zero in a name", line + host + std::string("X\0: a\r\n", 8) + length + end, 400},
      {"a name beyond ASCII", line + host + "Content-L\xc3\xa9ngth: 3\r\n" + end, 400},
      {"two hosts", line + host + "Host: y\r\n" + length + end, 400},
      {"two equal hosts", line + host + host + length + end, 400},
      {"two origins", line + host + "Origin: http://x\r\norigin: http://y\r\n" + length + end, 400},
      {"two lengths", line + host + length + "Content-Length: 4\r\n" + end, 400},
      {"two equal lengths", line + host + length + length + end, 400},
      {"a list of lengths", line + host + "Content-Length: 3, 3\r\n" + end, 400},
      {"a negative length", line + host + "Content-Length: -1\r\n" + end, 400},
      {"a length with a sign", line + host + "Content-Length: +3\r\n" + end, 400},
      {"a length in sixteens", line + host + "Content-Length: 0x3\r\n" + end, 400},
      {"a length with a blank in it", line + host + "Content-Length: 1 3\r\n" + end, 400},
      {"no length", line + host + "Content-Length:\r\n" + end, 400},
      {"a length of 2^64 + 3", line + host + "Content-Length: 18446744073709551619\r\n" + end, 400},
      {"an empty line in front", "\r\n" + line + host + length + end, 400},
      {"two blanks in the line", "POST  /a HTTP/1.1\r\n" + host + length + end, 400},
      {"a tab in the line", "POST\t/a HTTP/1.1\r\n" + host + length + end, 400},
      {"a blank after the line", "POST /a HTTP/1.1 \r\n" + host + length + end, 400},
      {"no version", "POST /a\r\n" + host + length + end, 400},
      {"HTTP/0.9", "GET /\r\n", 400},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
      {"a version of two digits", "POST /a HTTP/1.10\r\n" + host + length + end, 400},
      {"a whole address", "POST http://x/a HTTP/1.1\r\n" + host + length + end, 400},
      {"another's address", "CONNECT x:443 HTTP/1.1\r\n" + host + end, 400},
      {"no path", "OPTIONS * HTTP/1.1\r\n" + host + end, 400},
      {"a fragment", "GET /a#b HTTP/1.1\r\n" + host + end, 400},
      {"a bad percent sign", "GET /a%2 HTTP/1.1\r\n" + host + end, 400},
      {"a bad percent sign in the query", "GET /a?b=%zz HTTP/1.1\r\n" + host + end, 400},
      {"a long address", "GET /" + std::string(9'000, 'a') + " HTTP/1.1\r\n" + host + end, 414},
      {"an endless address", "GET /" + std::string(70'000, 'a'), 414},
      {"endless headers", line + host + "X: " + std::string(70'000, 'a'), 431},
      {"a million headers", line + host + std::string(70'000, 'a').replace(1, 1, ":"), 431},
      {"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), 400},
  };
  for (const Form& form : forms) EXPECT_EQ(StatusOf(form.text), form.status) << form.name;
  // Wherever it is cut. A head whose lines end in line feeds may then be waited on for its end,
  // which does not come; none is read that was refused.
  for (const Form& form : forms) {
    for (std::size_t cut = 0; cut < std::min<std::size_t>(form.text.size(), 120); ++cut) {
      HeadReader head;
      HeadReader::State state = head.Read(form.text.substr(0, cut));
      if (state == HeadReader::kMore) state = head.Read(form.text);
      EXPECT_EQ(state == HeadReader::kDone, form.status == 200) << form.name << " cut at " << cut;
      if (state != HeadReader::kRefused) continue;
      EXPECT_EQ(head.problem()->status, form.status) << form.name << " cut at " << cut;
    }
  }
}

}  // namespace
}  // namespace cliplens::server
