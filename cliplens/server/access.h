// Who may ask: the checks that keep other sites and other machines out.
//
//   const Access access({.host = "127.0.0.1", .port = 7878});
//   if (const auto problem = access.Check(request)) Print(problem->status);
//
// A page of another site can make a browser send requests to this machine, and can point a name of
// its own at it (DNS rebinding). So the Host of a request must be one that the server is reached
// by, the Origin, where there is one, must be the server itself, and Sec-Fetch-Site must not say
// that another site asks. With a token every request must carry it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/server/message.h"

namespace cliplens::server {

struct AccessOptions {
  // The address that is listened on. With all addresses (0.0.0.0, ::) any that is written as a
  // number is ours, since no name can be pointed at it.
  std::string host = "127.0.0.1";
  int port = 0;
  std::string token = {};               // empty: none is asked for
  std::vector<std::string> names = {};  // further names that the server is reached by
};

inline constexpr char kTokenCookie[] = "cliplens_token";

class Access {
 public:
  explicit Access(AccessOptions options);

  // The answer to a request that is refused: 400 without a Host, 403 for another's, 401 without the
  // token. Nothing for a request that is allowed.
  std::optional<Response> Check(const Request& request) const;

  // The answer to /?token=T with the right token sets a cookie and leads to the page. Nothing
  // otherwise.
  std::optional<Response> SignIn(const Request& request) const;

  // The page's address for people: "http://127.0.0.1:7878/".
  std::string Address() const;
  // The same with the token, where one is asked for. Only for people who may have the token.
  std::string SecretAddress() const;

 private:
  bool IsOurs(std::string_view authority) const;
  bool HasToken(const Request& request) const;

  AccessOptions options_;
};

// Whether an address to listen on is this machine's own: 127.x.x.x, ::1, localhost.
bool IsLoopback(std::string_view host);

// Whether both are equal, in a time that does not reveal where they differ.
bool SameSecret(std::string_view a, std::string_view b);

// 32 hexadecimal digits from the system's random source.
std::string MakeToken();

}  // namespace cliplens::server
