// A request to the explorer: "METHOD TARGET", header lines, an empty line, the body. Asked of a
// store of a few pictures, and of its model, with the limits of the real server.
#include "cliplens/server/explorer.h"

#include <cstdlib>
#include <memory>

#include "fuzz/fuzz.h"

#include "cliplens/decompose/decompose.h"
#include "cliplens/io/file.h"
#include "cliplens/io/image.h"

using namespace cliplens;

namespace {

const std::filesystem::path kModel = CLIPLENS_SOURCE_DIR "/models/pictureworld";

TextPool Pool() {
  TextPool pool{.name = "pool", .texts = {}, .properties = {}};
  for (const char* text : {"red", "blue", "a circle", "a square"}) pool.texts.emplace_back(text);
  pool.properties = {"colour", "colour", "shape", "shape"};
  return pool;
}

Image Picture(int number) {
  Image image{.width = 20 + number, .height = 24, .pixels = {}, .palette = {}, .clear_color = {}};
  for (Index i = 0; i < 3 * image.width * image.height; ++i) {
    image.pixels.push_back(static_cast<std::uint8_t>(i * (number + 3)));
  }
  return image;
}

struct Running {
  std::filesystem::path folder;
  std::unique_ptr<server::Explorer> explorer;

  Running() {
    std::string name = (std::filesystem::temp_directory_path() / "explorer-XXXXXX").string();
    folder = mkdtemp(name.data());
    std::filesystem::create_directory(folder / "pictures");
    for (int i = 0; i < 6; ++i) {
      WriteFileAtomically(folder / "pictures" / (std::to_string(i) + ".png"),
                          EncodePng(Picture(i)));
    }
    const ClipModel model = ClipModel::Load(kModel);
    DecomposeOptions options;
    options.out = folder / "store";
    options.threads = 1;
    Decompose(model, *OpenImageSet(folder / "pictures"), options);
    std::vector<server::SourceOptions> sources(2);
    sources[0].name = "store";
    sources[0].store.emplace(Store::Open(options.out));
    sources[0].pictures = OpenImageSet(folder / "pictures");
    sources[0].pool = Pool();
    sources[0].properties = Pool();
    sources[1].name = "model";
    for (server::SourceOptions& source : sources) {
      source.model = LazyModel({.model = kModel});
      source.classes =
          ClassTexts{.file = {.name = "classes", .names = {"a", "b"}, .labels = {"a", "b"}},
                     .templates = {"a {}"},
                     .truncate = true};
    }
    server::ExplorerOptions explorer_options;
    explorer_options.threads = 1;
    explorer = std::make_unique<server::Explorer>(std::move(sources), explorer_options);
    explorer->Open({.host = "127.0.0.1", .port = 1});
  }
  ~Running() {
    explorer.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
};

std::string_view TakeLine(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

server::Request RequestOf(std::string_view text) {
  server::Request request;
  std::string_view line = TakeLine(text);
  const std::size_t blank = std::min(line.find(' '), line.size());
  request.method = line.substr(0, blank);
  request.path = line.substr(std::min(blank + 1, line.size()));
  const std::size_t mark = std::min(request.path.find('?'), request.path.size());
  if (mark < request.path.size()) {
    const std::string query = request.path.substr(mark + 1);
    const std::size_t equals = std::min(query.find('='), query.size());
    request.query[query.substr(0, equals)] = query.substr(std::min(equals + 1, query.size()));
    request.path.resize(mark);
  }
  request.headers = {{"host", "localhost:1"}, {"content-type", "application/json"}};
  while (!(line = TakeLine(text)).empty()) {
    const std::size_t colon = std::min(line.find(": "), line.size());
    request.headers[std::string(line.substr(0, colon))] =
        line.substr(std::min(colon + 2, line.size()));
  }
  request.body = text;
  return request;
}

}  // namespace

CLIPLENS_FUZZ_TARGET(explorer) {
  static Running running;
  const server::Request request = RequestOf(fuzz::AsText(input));
  if (running.explorer->Refuse(request)) return;
  // What the server does before it reads a body.
  if (static_cast<Index>(request.body.size()) > running.explorer->BodyLimit(request)) return;
  server::Response response = running.explorer->Handle(request);
  if (response.status == 500) std::abort();
  if (response.status < 400) fuzz::Accepted() = true;
  if (response.stream) {
    response.stream([](std::string_view) { return true; });
  }
}
