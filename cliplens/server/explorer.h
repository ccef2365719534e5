// The explorer: models and stores behind routes under /api/v1, and the page itself.
//
//   Explorer explorer(std::move(sources), {.threads = 0});
//   HttpServer server({.port = 7878}, explorer);
//   explorer.Open({.host = "127.0.0.1", .port = server.port()});
//   server.Listen();
//
// openapi.json describes the routes and is served beside them; a test compares the two. Only
// sources that are named at the start can be reached.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/server/access.h"
#include "cliplens/server/http.h"
#include "cliplens/server/source.h"

namespace cliplens::server {

struct ExplorerOptions {
  int threads = 0;
  // Pictures that are sent are turned upright by their EXIF orientation; also if a store's were.
  bool exif_orientation = false;
  int computing = 2;  // requests that compute at once; others wait
  int waiting = 96;   // that wait; more are told to try again
  int streams = 32;   // server-sent events followed at once
  Index body_bytes = Index{1} << 20;
  Index picture_bytes = Index{32} << 20;
  Index edit_bytes = Index{64} << 20;
};

class Explorer : public Handler {
 public:
  Explorer(std::vector<SourceOptions> sources, ExplorerOptions options);
  ~Explorer() override;

  // Sets who may ask; until then every request is refused. Starts the work that views wait for.
  void Open(AccessOptions access);
  const Access& access() const { return *access_; }
  // Ends streams and jobs.
  void Close();

  // Method and path, under /api/v1, of every route.
  static std::vector<std::pair<std::string, std::string>> RouteNames();

  std::optional<Response> Refuse(const Request& head) override;
  Index BodyLimit(const Request& head) override;
  Response Handle(const Request& request) override;

 private:
  struct Route;
  class Turn;
  using Parts = std::vector<std::string>;  // what stands for {…} in a route's path

  static const std::vector<Route>& Routes();
  // Null with `parts` left as they are where no route has this path and method.
  static const Route* Find(const Request& request, Parts& parts);
  // 405 with the methods that the path is asked with, or 404.
  static Response NotFound(const Request& request);

  Source& SourceNamed(const std::string& id);
  Response Answer(const Route& route, const Parts& parts, const Request& request);

  Response Sources();
  Response ItemPicture(const Parts& parts, const Request& request);
  Response NeuronPicture(const Parts& parts, const Request& request);
  Response SendPicture(const Request& request);
  Response SentPictureOf(const Parts& parts, const Request& request);
  Response Events(const std::string& job);
  Response SmallOrWhole(const std::string& key, const std::string& name, const Request& request,
                        bool exif_orientation,
                        const std::function<std::vector<std::uint8_t>()>& read);

  ExplorerOptions options_;
  std::vector<std::unique_ptr<Source>> sources_;
  Shared shared_;  // after the sources: its jobs work on them, and end before they do
  std::optional<Access> access_;
  std::string session_;  // makes tags of one run differ from those of another
  std::atomic<bool> closed_ = false;
  std::atomic<int> streams_ = 0;

  std::mutex turns_mutex_;
  std::condition_variable turns_free_;
  int computing_ = 0, waiting_ = 0;
};

// A file of the page.
struct PageFile {
  const char* path;  // "/app.js"
  const char* content_type;
  std::string_view text;
  const char* tag;
};
// The bundle of web/dist and openapi.json.
const std::vector<PageFile>& PageFiles();

}  // namespace cliplens::server
