// The head of a request as it comes from a client: read at once and in two pieces, with one answer.
#include <cstdlib>

#include "fuzz/fuzz.h"

#include "cliplens/server/request_head.h"

using namespace cliplens;
using server::HeadReader;

CLIPLENS_FUZZ_TARGET(request) {
  const std::string_view text = fuzz::AsText(input);
  HeadReader whole;
  const HeadReader::State state = whole.Read(text);
  HeadReader parts;
  HeadReader::State piecewise = parts.Read(text.substr(0, text.size() / 2));
  if (piecewise == HeadReader::kMore) piecewise = parts.Read(text);
  if ((piecewise == HeadReader::kDone) != (state == HeadReader::kDone)) std::abort();
  if (state == HeadReader::kRefused && whole.problem()->status < 400) std::abort();
  if (state != HeadReader::kDone) return;
  fuzz::Accepted() = true;
  // Lines end in one way alone, and none goes on in the next.
  const std::string_view head = text.substr(0, ToSize(whole.size()));
  if (!head.ends_with("\r\n\r\n")) std::abort();
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '\n' && (i == 0 || head[i - 1] != '\r')) std::abort();
    if (head[i] == '\r' && head[i + 1] != '\n') std::abort();
    if (head[i] == '\n' && i + 1 < head.size() && (head[i + 1] == ' ' || head[i + 1] == '\t')) {
      std::abort();
    }
  }
  const server::Request& request = whole.request();
  if (request.headers.contains("transfer-encoding") || !request.path.starts_with('/')) std::abort();
  if (whole.body_bytes() < 0 || parts.body_bytes() != whole.body_bytes()) std::abort();
}
