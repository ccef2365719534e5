// Requests and answers of the explorer, independent of the HTTP library.
//
//   const Response response = JsonResponse({{"done", true}});
//   Print(response.status, response.body);
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/base/error.h"
#include "cliplens/io/json.h"

namespace cliplens::server {

struct Request {
  std::string method;                          // "GET"
  std::string path;                            // decoded, without the query: "/api/v1/sources"
  std::map<std::string, std::string> query;    // decoded; of a repeated name the first
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  // Empty where there is none.
  std::string_view header(const std::string& name) const;
  std::string_view parameter(const std::string& name) const;
};

// Takes the next piece of a stream; false once the client is gone.
using Writer = std::function<bool(std::string_view piece)>;

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  // Instead of a body: called until it returns false. Each call may wait for news, for some seconds
  // at most.
  std::function<bool(const Writer& write)> stream = {};
};

Response JsonResponse(const Json& value, int status = 200);
// {"error": {"code", "message"}}.
Response ErrorResponse(int status, std::string_view code, std::string_view message);
Response ErrorResponse(const Error& error);

}  // namespace cliplens::server
