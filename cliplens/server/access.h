// Who may ask: the checks that keep other sites and other machines out.
//
//   const Access access({.host = "127.0.0.1", .port = 7878});
//   if (const auto problem = access.Check(request)) Print(problem->status);
//
// A page of another site can make a browser send requests to this machine, and can point a name of
// its own at it (DNS rebinding). So the Host of a request must be a name that the server is reached
// by; the port says nothing, since tunnels and containers change it. The Origin, where there is
// one, must be the page's own, and Sec-Fetch-Site must not say that another site asks. With a token
// every request must carry it.
//
// A proxy may keep the Host that the browser asked or put its own; either way the Origin is the
// browser's. An Origin counts as the page's own if it is what Host says, or a name that was given
// for the page, or a name of this machine while the browser itself says same-origin.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/server/message.h"

namespace cliplens::server {

struct AccessOptions {
  // The address that is listened on. With all addresses (0.0.0.0, ::) any that is written as a
  // number is ours, since no name can be pointed at it. Names of this machine always are.
  std::string host = "127.0.0.1";
  int port = 0;
  std::string token = {};  // empty: none is asked for
  // Further names that the server is reached by, as IsHostName() says. Pages of such a name count
  // as its own, by HTTP and HTTPS: of "lab.example" at any port, of "lab.example:8443" at one.
  std::vector<std::string> names = {};
  // Whether X-Forwarded-Host and X-Forwarded-Proto are a proxy's and say what the browser asked.
  // Otherwise they are not read, since a page can send them.
  bool behind_proxy = false;
};

class Access {
 public:
  explicit Access(AccessOptions options);

  // The answer to a request that is refused: 400 without a Host, 403 for another's, 401 without the
  // token. Nothing for a request that is allowed.
  std::optional<Response> Check(const Request& request) const;

  // The answer to /?token=T with the right token sets a cookie and leads to the page. Nothing
  // otherwise. Both hold for the folder that the browser asked, under whatever path a proxy
  // shows the page.
  std::optional<Response> SignIn(const Request& request) const;

  // The page's address for people: "http://127.0.0.1:7878/".
  std::string Address() const;
  // The same with the token, where one is asked for. Only for people who may have the token.
  std::string SecretAddress() const;

 private:
  // Host, and what stands for it where a proxy may say so.
  struct Asked {
    std::string authority;  // as the browser knows it
    std::string scheme;     // "http" or "https"
  };
  // Nothing where the request is for another server.
  std::optional<Asked> AskedOf(const Request& request) const;
  bool IsOurs(std::string_view authority) const;
  // `scheme`: of an origin, whose port counts; empty for a Host, whose port does not.
  bool IsNamed(std::string_view authority, std::string_view scheme) const;
  bool IsOwnOrigin(std::string_view origin, const Asked& asked, std::string_view site) const;
  // Browsers send a cookie to every port of a host, so its name holds the port.
  std::string CookieName(const Asked& asked) const;
  bool HasToken(const Request& request, const Asked& asked) const;

  AccessOptions options_;
};

// Whether it is a host as it stands in an address: a name, 1.2.3.4 or [::1], with a port or
// without.
bool IsHostName(std::string_view name);

// Whether an address to listen on is this machine's own: 127.x.x.x, ::1, localhost.
bool IsLoopback(std::string_view host);

// Whether both are equal, in a time that does not reveal where they differ.
bool SameSecret(std::string_view a, std::string_view b);

// 32 hexadecimal digits from the system's random source.
std::string MakeToken();

}  // namespace cliplens::server
