// The head of a request: its line and headers, read strictly.
//
//   HeadReader reader({.bytes = 64 * 1024});
//   while (reader.Read(text) == HeadReader::kMore) text += More();
//   if (reader.problem()) Print(reader.problem()->status);
//   Use(reader.request(), text.substr(reader.size()));
//
// A head that two programs could read in two ways is refused (request smuggling): lines that do not
// end in CR LF, folded lines, blanks before a colon, control characters, two Hosts, Origins or
// Content-Lengths, a transfer encoding, a target that is no path. Boost.Beast's parser reads the
// grammar.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cliplens/server/message.h"

namespace cliplens::server {

struct HeadLimits {
  Index bytes = 64 * 1024;  // of all lines together
  Index target_bytes = 8 * 1024;
};

class HeadReader {
 public:
  explicit HeadReader(HeadLimits limits = {});
  ~HeadReader();
  HeadReader(const HeadReader&) = delete;
  HeadReader& operator=(const HeadReader&) = delete;

  enum State { kMore, kDone, kRefused };
  // `text` is all that has come of this request, more of it at each call.
  State Read(std::string_view text);

  // The answer to a head that is refused: 400, 411, 414 or 431.
  const std::optional<Response>& problem() const;
  // The rest only after kDone. A header that stands twice has its values joined by commas (cookies
  // by semicolons).
  Request& request();
  Index size() const;           // of the head, in bytes of `text`
  Index body_bytes() const;     // that follow it
  bool keep_alive() const;      // whether the client wants to ask more by this connection
  bool is_http_1_0() const;     // no pieces, no 100
  bool wants_continue() const;  // before it sends the body

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace cliplens::server
