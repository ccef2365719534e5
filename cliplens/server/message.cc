#include "cliplens/server/message.h"

namespace cliplens::server {
namespace {

std::string_view ValueOf(const std::map<std::string, std::string>& values,
                         const std::string& name) {
  const auto found = values.find(name);
  return found == values.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace

std::string_view Request::header(const std::string& name) const { return ValueOf(headers, name); }

std::string_view Request::parameter(const std::string& name) const { return ValueOf(query, name); }

Response JsonResponse(const Json& value, int status) {
  return {.status = status, .body = DumpJson(value) + "\n"};
}

Response ErrorResponse(int status, std::string_view code, std::string_view message) {
  return JsonResponse({{"error", {{"code", code}, {"message", message}}}}, status);
}

Response ErrorResponse(const Error& error) {
  const ErrorCodeInfo& info = InfoOf(error.code());
  return ErrorResponse(info.http_status, info.name, error.what());
}

}  // namespace cliplens::server
