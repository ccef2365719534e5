// The members of a request's JSON body, checked: every error names the member and what it may be.
//
//   const Arguments arguments(request);   // a body such as {"text": "a duck", "count": 5}
//   Print(arguments.Text("text"), arguments.Count("count", /*otherwise=*/10, 1, kMostResults));
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/io/json.h"
#include "cliplens/server/message.h"

namespace cliplens::server {

// Bounds of what a request may ask for.
inline constexpr Index kMostTexts = 64;
inline constexpr Index kMostTextBytes = 4'096;
inline constexpr Index kMostTerms = 8;
inline constexpr Index kMostResults = 1'000;

class Arguments {
 public:
  // Throws Error(kInvalidArgument) for a body that is no JSON object.
  explicit Arguments(const Request& request);
  Arguments(Json object, std::string name);

  // Whether the member is there and not null.
  bool Has(const char* key) const;
  // Without a default the member must be there.
  std::string Text(const char* key) const;
  std::string Text(const char* key, const std::string& otherwise) const;
  double Number(const char* key, double otherwise) const;
  Index Count(const char* key, Index otherwise, Index least, Index most) const;
  bool Flag(const char* key) const;  // false when it is not there
  std::vector<std::string> Texts(const char* key, Index most) const;
  Arguments Object(const char* key) const;
  std::vector<Arguments> Objects(const char* key, Index most) const;

 private:
  const Json& Field(const char* key) const;
  std::string NameOf(const char* key) const;

  Json object_;
  std::string name_;  // for messages
};

// A whole number of a query, `otherwise` where it is not there.
Index CountOf(const Request& request, const std::string& key, Index otherwise, Index least,
              Index most);
// A whole number from 0 that is part of a path. Throws Error(kNotFound) for other text.
Index NumberOf(std::string_view text, std::string_view what);

}  // namespace cliplens::server
