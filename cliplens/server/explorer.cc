#include "cliplens/server/explorer.h"

#include <algorithm>
#include <chrono>

#include "cliplens/app/pictures.h"
#include "cliplens/base/error.h"
#include "cliplens/base/memory_reserve.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/server/views.h"

namespace cliplens::server {
namespace {

constexpr std::string_view kApi = "/api/v1";
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";
constexpr Index kSmallestSide = 16;
constexpr Index kLargestSide = 2'048;

std::vector<std::string> Split(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    path.remove_prefix(1);  // '/'
    const std::size_t end = std::min(path.find('/'), path.size());
    parts.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return parts;
}

// Of a route's path; the parts that stand for {…} where it fits.
std::optional<std::vector<std::string>> PathParts(std::string_view route,
                                                  const std::vector<std::string>& asked) {
  const std::vector<std::string> wanted = Split(route);
  if (wanted.size() != asked.size()) return std::nullopt;
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].starts_with('{')) {
      parts.push_back(asked[i]);
    } else if (wanted[i] != asked[i]) {
      return std::nullopt;
    }
  }
  return parts;
}

const PageFile* PageFileAt(std::string_view path) {
  for (const PageFile& file : PageFiles()) {
    if (path == file.path || (path == "/" && std::string_view(file.path) == "/index.html")) {
      return &file;
    }
  }
  return nullptr;
}

// What every answer says to a browser.
Response Guarded(Response response) {
  auto& headers = response.headers;
  headers.emplace_back("Content-Security-Policy", kPolicy);
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  headers.emplace_back("Referrer-Policy", "no-referrer");
  headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
  headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
  const auto named = [&](const char* name) {
    return std::ranges::any_of(headers, [&](const auto& header) { return header.first == name; });
  };
  if (!named("Cache-Control")) headers.emplace_back("Cache-Control", "no-store");
  return response;
}

// A file that a browser may keep but must ask about.
Response Tagged(const Request& request, std::string_view tag, std::string content_type,
                const std::function<std::string()>& body) {
  const std::string quoted = fmt::format("\"{}\"", tag);
  Response response{.content_type = std::move(content_type)};
  response.headers = {{"ETag", quoted}, {"Cache-Control", "private, no-cache"}};
  if (request.header("if-none-match") == quoted) {
    response.status = 304;
  } else {
    response.body = body();
  }
  return response;
}

}  // namespace

// How a request is answered.
struct Explorer::Route {
  const char* method;
  const char* path;  // under kApi; {…} stands for any part
  enum class Body { kNone, kJson, kPicture, kEdit } body;
  bool computes;  // takes a turn
  Response (*answer)(Explorer&, const Parts&, const Request&);
};

// A place among the requests that compute. Throws Error(kExhausted) when too many wait.
class Explorer::Turn {
 public:
  explicit Turn(Explorer& explorer) : explorer_(explorer) {
    std::unique_lock lock(explorer_.turns_mutex_);
    if (explorer_.computing_ >= explorer_.options_.computing) {
      if (explorer_.waiting_ >= explorer_.options_.waiting) {
        throw Error(ErrorCode::kExhausted, "{} requests wait to be answered; ask again later",
                    explorer_.waiting_);
      }
      ++explorer_.waiting_;
      explorer_.turns_free_.wait(
          lock, [&] { return explorer_.computing_ < explorer_.options_.computing; });
      --explorer_.waiting_;
    }
    ++explorer_.computing_;
  }
  ~Turn() {
    const std::scoped_lock lock(explorer_.turns_mutex_);
    --explorer_.computing_;
    explorer_.turns_free_.notify_one();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Explorer& explorer_;
};

const std::vector<Explorer::Route>& Explorer::Routes() {
  using Body = Route::Body;
  static const std::vector<Route> routes = {
      {"GET", "/sources", Body::kNone, false,
       [](Explorer& e, const Parts&, const Request&) { return e.Sources(); }},
      {"GET", "/sources/{source}/overview", Body::kNone, true,
       [](Explorer& e, const Parts& p, const Request&) {
         return JsonResponse(OverviewOf(e.SourceNamed(p[0])));
       }},
      {"GET", "/sources/{source}/heads/{head}", Body::kNone, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return JsonResponse(HeadOf(e.SourceNamed(p[0]), p[1], r));
       }},
      {"GET", "/sources/{source}/items", Body::kNone, false,
       [](Explorer& e, const Parts& p, const Request& r) {
         return JsonResponse(ItemListOf(e.SourceNamed(p[0]), r));
       }},
      {"GET", "/sources/{source}/items/{item}/picture", Body::kNone, false,
       [](Explorer& e, const Parts& p, const Request& r) { return e.ItemPicture(p, r); }},
      {"POST", "/sources/{source}/search", Body::kJson, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return JsonResponse(SearchOf(e.SourceNamed(p[0]), Arguments(r)));
       }},
      {"GET", "/sources/{source}/neurons", Body::kNone, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return JsonResponse(NeuronListOf(e.SourceNamed(p[0]), r));
       }},
      {"GET", "/sources/{source}/neurons/{neuron}", Body::kNone, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return JsonResponse(NeuronOf(e.SourceNamed(p[0]), p[1], r));
       }},
      {"GET", "/sources/{source}/neuron-pictures/{item}", Body::kNone, false,
       [](Explorer& e, const Parts& p, const Request& r) { return e.NeuronPicture(p, r); }},
      {"POST", "/sources/{source}/fires", Body::kJson, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return JsonResponse(FiringsOf(e.SourceNamed(p[0]), Arguments(r)));
       }},
      {"POST", "/sources/{source}/labels", Body::kJson, false,
       [](Explorer& e, const Parts& p, const Request&) {
         return JsonResponse({{"job", e.SourceNamed(p[0]).StartLabels()}}, 202);
       }},
      {"POST", "/sources/{source}/edit", Body::kJson, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return JsonResponse(EditedJson(EditedOf(e.SourceNamed(p[0]), Arguments(r))));
       }},
      {"POST", "/sources/{source}/edit/file", Body::kJson, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return EditFileOf(e.SourceNamed(p[0]), Arguments(r));
       }},
      {"POST", "/sources/{source}/edit/open", Body::kEdit, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return JsonResponse(OpenedEditOf(e.SourceNamed(p[0]), r.body));
       }},
      {"GET", "/sources/{source}/match", Body::kNone, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         Source& with = e.SourceNamed(std::string(r.parameter("with")));
         return JsonResponse(MatchOf(e.SourceNamed(p[0]), with));
       }},
      {"POST", "/sources/{source}/scores", Body::kJson, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return JsonResponse(ScoresJson(PictureScoresOf(e.SourceNamed(p[0]), Arguments(r))));
       }},
      {"POST", "/sources/{source}/heatmap", Body::kJson, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return HeatMapOf(e.SourceNamed(p[0]), Arguments(r), r.parameter("as") == "png");
       }},
      {"POST", "/sources/{source}/explain", Body::kJson, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return ExplanationOf(e.SourceNamed(p[0]), Arguments(r), r.parameter("as") == "png");
       }},
      {"POST", "/sources/{source}/segment", Body::kJson, true,
       [](Explorer& e, const Parts& p, const Request& r) {
         return MaskResponse(e.SourceNamed(p[0]), Arguments(r), r.parameter("as") == "png");
       }},
      {"POST", "/pictures", Body::kPicture, true,
       [](Explorer& e, const Parts&, const Request& r) { return e.SendPicture(r); }},
      {"GET", "/pictures/{picture}", Body::kNone, false,
       [](Explorer& e, const Parts& p, const Request& r) { return e.SentPictureOf(p, r); }},
      {"GET", "/jobs/{job}", Body::kNone, false,
       [](Explorer& e, const Parts& p, const Request&) {
         return JsonResponse(JobJson(e.shared_.jobs.Status(p[0])));
       }},
      {"GET", "/jobs/{job}/events", Body::kNone, false,
       [](Explorer& e, const Parts& p, const Request&) { return e.Events(p[0]); }},
      {"DELETE", "/jobs/{job}", Body::kNone, false,
       [](Explorer& e, const Parts& p, const Request&) {
         e.shared_.jobs.Cancel(p[0]);
         return JsonResponse(JobJson(e.shared_.jobs.Status(p[0])), 202);
       }},
  };
  return routes;
}

std::vector<std::pair<std::string, std::string>> Explorer::RouteNames() {
  std::vector<std::pair<std::string, std::string>> names;
  for (const Route& route : Routes()) names.emplace_back(route.method, route.path);
  return names;
}

Explorer::Explorer(std::vector<SourceOptions> sources, ExplorerOptions options)
    : options_(options), session_(MakeToken()) {
  shared_.threads = options.threads;
  shared_.exif_orientation = options.exif_orientation;
  for (SourceOptions& source : sources) {
    if (source.store && TurnsUpright(*source.store)) shared_.exif_orientation = true;
    if (source.neurons && TurnsUpright(source.neurons->info())) shared_.exif_orientation = true;
    sources_.push_back(
        std::make_unique<Source>(fmt::format("s{}", sources_.size()), std::move(source), shared_));
  }
}

Explorer::~Explorer() { Close(); }

void Explorer::Open(AccessOptions access) {
  access_.emplace(std::move(access));
  for (const auto& source : sources_) source->Prepare();
}

void Explorer::Close() {
  closed_ = true;
  shared_.jobs.CancelAll();
}

Source& Explorer::SourceNamed(const std::string& id) {
  for (const auto& source : sources_) {
    if (source->id() == id) return *source;
  }
  throw Error(ErrorCode::kNotFound, "there is no source '{}'; see {}/sources", Printable(id), kApi);
}

const Explorer::Route* Explorer::Find(const Request& request, Parts& parts) {
  if (!request.path.starts_with(kApi)) return nullptr;
  const std::vector<std::string> asked = Split(request.path.substr(kApi.size()));
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  for (const Route& route : Routes()) {
    if (route.method != method) continue;
    std::optional<Parts> found = PathParts(route.path, asked);
    if (!found) continue;
    parts = *std::move(found);
    return &route;
  }
  return nullptr;
}

Response Explorer::NotFound(const Request& request) {
  std::string methods = PageFileAt(request.path) != nullptr ? "GET, HEAD" : "";
  if (request.path.starts_with(kApi)) {
    const std::vector<std::string> asked = Split(request.path.substr(kApi.size()));
    for (const Route& route : Routes()) {
      if (!PathParts(route.path, asked)) continue;
      if (!methods.empty()) methods += ", ";
      methods += std::string_view(route.method) == "GET" ? "GET, HEAD" : route.method;
    }
  }
  if (methods.empty()) return ErrorResponse(404, "not-found", "there is no such page or route");
  Response response =
      ErrorResponse(405, "invalid-argument", fmt::format("this is asked with {}", methods));
  response.headers.emplace_back("Allow", methods);
  return response;
}

std::optional<Response> Explorer::Refuse(const Request& head) {
  if (!access_) return Guarded(ErrorResponse(403, "forbidden", "not open yet"));
  if (auto sign_in = access_->SignIn(head)) return Guarded(*std::move(sign_in));
  if (auto refused = access_->Check(head)) return Guarded(*std::move(refused));
  if (head.method == "GET" || head.method == "HEAD") return std::nullopt;
  Parts parts;
  const Route* route = Find(head, parts);
  if (route == nullptr) return Guarded(NotFound(head));
  if (route->body == Route::Body::kNone) return std::nullopt;
  // Other sites can make a browser send forms and plain text, not JSON.
  const std::string_view type = head.header("content-type");
  const bool json = type.starts_with("application/json");
  const bool picture = type.starts_with("image/");
  if (route->body == Route::Body::kPicture ? !picture : !json) {
    return Guarded(ErrorResponse(
        415, "unsupported",
        fmt::format("send this with Content-Type: {}", route->body == Route::Body::kPicture
                                                           ? "image/png, or another image type"
                                                           : "application/json")));
  }
  return std::nullopt;
}

Index Explorer::BodyLimit(const Request& head) {
  Parts parts;
  const Route* route = Find(head, parts);
  if (route == nullptr) return 0;
  switch (route->body) {
    case Route::Body::kNone:
      return 0;
    case Route::Body::kJson:
      return options_.body_bytes;
    case Route::Body::kPicture:
      return options_.picture_bytes;
    case Route::Body::kEdit:
      return options_.edit_bytes;
  }
  return 0;
}

Response Explorer::Handle(const Request& request) {
  if (const PageFile* file = PageFileAt(request.path)) {
    return Guarded(
        Tagged(request, file->tag, file->content_type, [&] { return std::string(file->text); }));
  }
  Parts parts;
  const Route* route = Find(request, parts);
  if (route == nullptr) return Guarded(NotFound(request));
  return Guarded(Answer(*route, parts, request));
}

Response Explorer::Answer(const Route& route, const Parts& parts, const Request& request) {
  try {
    RenewMemoryReserve();
    std::optional<Turn> turn;
    if (route.computes) {
      try {
        turn.emplace(*this);
      } catch (const Error& error) {
        Response busy = ErrorResponse(503, "exhausted", error.what());
        busy.headers.emplace_back("Retry-After", "2");
        return busy;
      }
    }
    return route.answer(*this, parts, request);
  } catch (const NotReady& not_ready) {
    return JsonResponse(
        {{"error",
          {{"code", "not-ready"},
           {"message", fmt::format("the {} are being embedded; the job {} tells how far it is",
                                   not_ready.what, not_ready.job)},
           {"job", not_ready.job}}}},
        503);
  } catch (const Error& error) {
    return ErrorResponse(error);
  } catch (const std::bad_alloc&) {
    return ErrorResponse(507, "exhausted", "not enough memory for this; ask for less");
  } catch (const std::exception& error) {
    return ErrorResponse(ErrorFrom(error));
  }
}

Response Explorer::Sources() {
  std::vector<SourceReport> described;
  for (const auto& source : sources_) described.push_back(source->Describe());
  return JsonResponse(SourcesJson(described, {.picture_bytes = options_.picture_bytes,
                                              .picture_pixels = shared_.picture_pixels,
                                              .text_bytes = kMostTextBytes,
                                              .texts = kMostTexts,
                                              .terms = kMostTerms,
                                              .results = kMostResults}));
}

Response Explorer::SmallOrWhole(const std::string& key, const std::string& name,
                                const Request& request, bool exif_orientation,
                                const std::function<std::vector<std::uint8_t>()>& read) {
  const Showing showing{.max_pixels = shared_.picture_pixels, .exif_orientation = exif_orientation};
  const Index side = CountOf(request, "side", 0, kSmallestSide, kLargestSide);
  const std::string small_key = fmt::format("{} {}", key, side);
  const std::string tag = HashBytes(AsBytes(small_key));
  Response response = Tagged(request, session_.substr(0, 8) + tag, "", [] { return ""; });
  if (response.status == 304) return response;
  std::shared_ptr<const PictureFile> file = side > 0 ? shared_.small.Find(small_key) : nullptr;
  if (file == nullptr && side == 0) {
    file = std::make_shared<const PictureFile>(WholePicture(read(), name, showing));
  } else if (file == nullptr) {
    PictureFile small = SmallPicture(read(), name, side, showing);
    const auto bytes = static_cast<Index>(small.bytes.size());
    file = shared_.small.Add(small_key, std::move(small), bytes);
  }
  response.content_type = file->content_type;
  response.body = file->bytes;
  return response;
}

Response Explorer::ItemPicture(const Parts& parts, const Request& request) {
  Source& source = SourceNamed(parts[0]);
  const Index number = NumberOf(parts[1], "picture");
  const std::string path = source.item(number).path;
  return SmallOrWhole(fmt::format("{} {}", source.id(), number), path, request,
                      source.TurnsUpright(), [&] { return source.PictureBytes(number); });
}

Response Explorer::NeuronPicture(const Parts& parts, const Request& request) {
  Source& source = SourceNamed(parts[0]);
  const Index number = NumberOf(parts[1], "picture");
  const std::string path = source.neuron_item(number).path;
  return SmallOrWhole(fmt::format("{} neurons {}", source.id(), number), path, request,
                      source.NeuronPicturesUpright(),
                      [&] { return source.NeuronPictureBytes(number); });
}

Response Explorer::SendPicture(const Request& request) {
  SentPicture sent;
  sent.bytes.assign(request.body.begin(), request.body.end());
  const Image image = DecodeImage(
      sent.bytes, "the picture",
      {.max_pixels = shared_.picture_pixels, .exif_orientation = shared_.exif_orientation});
  sent.width = image.width;
  sent.height = image.height;
  const std::string id = HashBytes(sent.bytes);
  const Json json = SentPictureJson(id, sent.width, sent.height);
  const auto bytes = static_cast<Index>(sent.bytes.size());
  shared_.sent.Add(id, std::move(sent), bytes);
  return JsonResponse(json);
}

Response Explorer::SentPictureOf(const Parts& parts, const Request& request) {
  const std::shared_ptr<const SentPicture> sent = shared_.Sent(parts[0]);
  return SmallOrWhole(parts[0], "the picture", request, shared_.exif_orientation,
                      [&] { return sent->bytes; });
}

Response Explorer::Events(const std::string& job) {
  shared_.jobs.Status(job);  // whether it is there
  if (streams_ >= options_.streams) {
    throw Error(ErrorCode::kExhausted, "{} streams of events are open; close one",
                options_.streams);
  }
  ++streams_;
  // Given back when the stream is done with.
  const std::shared_ptr<void> place(nullptr, [this](void*) { --streams_; });
  struct Seen {
    Index version = -1;
  };
  auto seen = std::make_shared<Seen>();
  Response response{.content_type = "text/event-stream"};
  // Proxies keep what they pass on until it is much, unless they are told not to.
  response.headers = {{"Cache-Control", "no-store, no-transform"}, {"X-Accel-Buffering", "no"}};
  response.stream = [this, job, place, seen](const Writer& write) {
    using std::chrono::milliseconds;
    if (closed_) return false;
    JobStatus status;
    try {
      status = shared_.jobs.Wait(job, seen->version, milliseconds(1'000));
    } catch (const Error&) {
      return false;
    }
    if (status.version == seen->version) return write(": still here\n\n");
    seen->version = status.version;
    const bool running = status.state == JobState::kRunning;
    const bool written =
        write(fmt::format("event: {}\ndata: {}\n\n", running ? "progress" : NameOf(status.state),
                          DumpJson(JobJson(status))));
    return written && running;
  };
  return response;
}

}  // namespace cliplens::server
