// The command line as a black box: what it prints, its exit status, what it leaves on disk.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "cliplens/base/version.h"
#include "cliplens/io/file.h"
#include "cliplens/io/image.h"
#include "cliplens/io/json.h"
#include "cliplens/io/npy.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  int status = -1;
  std::string out;
  std::string error;
};

class CliTest : public testing::Test {
 protected:
  fs::path path(const std::string& name) const { return directory_.path() / name; }
  static std::string source(const std::string& name) {
    return std::string(CLIPLENS_SOURCE_DIR) + "/" + name;
  }

  // Runs the program in the test's directory; arguments are words of a shell.
  Outcome Run(const std::string& arguments) const {
    const std::string command = fmt::format(
        "cd '{}' && '{}' {} 2>stderr.txt", directory_.path().string(), CLIPLENS_PROGRAM, arguments);
    Outcome outcome;
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return outcome;
    char buffer[4096];
    for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
      outcome.out.append(buffer, n);
    }
    const int status = ::pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -2;
    outcome.error = ReadTextFile(path("stderr.txt"), 1 << 20);
    return outcome;
  }

  // The run fails with this status and says one line with these words, and prints nothing else.
  void ExpectFailure(const std::string& arguments, int status, const std::string& words) const {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.status, status) << arguments << "\n" << outcome.error;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_NE(outcome.error.find(words), std::string::npos) << arguments << "\n" << outcome.error;
    EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << outcome.error;
    EXPECT_TRUE(outcome.error.starts_with("cliplens: ")) << outcome.error;
  }

  Json RunJson(const std::string& arguments) const {
    const Outcome outcome = Run(arguments + " --json");
    EXPECT_EQ(outcome.status, 0) << arguments << "\n" << outcome.error;
    return ParseJson(outcome.out, "standard output");
  }

  // A model, pictures and texts to work on.
  void MakeData() const {
    RandomModel{}.Write(path("model"));
    WriteRandomPictures(path("pictures"), 12, 24);
    directory_.Write("texts.txt", "red\na cat\nblue sky\tplace\n\n  dots  \n");
  }

  TemporaryDirectory directory_;
};

TEST_F(CliTest, HelpAndVersion) {
  EXPECT_EQ(Run("--version").out, std::string("cliplens ") + kVersion + "\n");
  const std::string help = Run("--help").out;
  for (const char* verb :
       {"demo",    "info",    "tokenize", "preprocess",  "embed",  "classify",        "decompose",
        "merge",   "span",    "ablate",   "reconstruct", "label",  "evaluate labels", "search",
        "match",   "heatmap", "explain",  "report",      "export", "verify",          "describe",
        "weights", "compare", "pull"}) {
    // A verb of two words stands in the help of its first.
    const std::string_view words = verb;
    const std::string_view first = words.substr(0, words.find(' '));
    EXPECT_NE(help.find(first), std::string::npos) << verb;
    const Outcome outcome = Run(std::string(verb) + " --help");
    EXPECT_EQ(outcome.status, 0);
    EXPECT_NE(outcome.out.find(std::string("cliplens ") + verb), std::string::npos) << verb;
    EXPECT_NE(outcome.out.find("--json"), std::string::npos) << verb;
  }
}

TEST_F(CliTest, BadCommandLinesAreOneLineAndStatusTwo) {
  ExpectFailure("", 2, "cliplens --help");
  ExpectFailure("fly", 2, "fly");
  ExpectFailure("span", 2, "cliplens span --help");
  ExpectFailure("info model --threads=-1", 2, "--threads");
  ExpectFailure("embed model --out x.npy", 2, "cliplens embed --help");
}

TEST_F(CliTest, TheWholeLineOnOwnPicturesAndTexts) {
  MakeData();
  const Json info = RunJson("info model");
  EXPECT_EQ(info["format"], "cliplens.info/1");
  EXPECT_EQ(info["heads"].size(), 6u);
  EXPECT_EQ(info["config"]["vision"]["head_width"], 6);

  const Json decomposed = RunJson("decompose model --images pictures --out store");
  EXPECT_EQ(decomposed["format"], "cliplens.decompose/1");
  EXPECT_EQ(decomposed["images"], 12);
  EXPECT_LE(decomposed["certificate"]["max"].get<double>(), 1e-5);

  const Json span = RunJson("span store --texts texts.txt --count 3 --out span.json");
  EXPECT_EQ(span["format"], "cliplens.span/1");
  EXPECT_EQ(span["images"], 12);
  EXPECT_EQ(span["heads"].size(), 6u);
  for (const Json& head : span["heads"]) {
    double cumulative = 0;
    for (const Json& text : head["texts"]) {
      cumulative += text["share"].get<double>();
      EXPECT_NEAR(text["cumulative"].get<double>(), cumulative, 1e-12);
    }
  }
  EXPECT_EQ(ReadJsonFile(path("span.json")), span);
  const Json some = RunJson("span store --texts texts.txt --heads L2.H1,L0");
  EXPECT_EQ(some["heads"].size(), 3u);

  const Json exported = RunJson("export store --format npy --out arrays");
  EXPECT_EQ(exported["format"], "cliplens.export/1");
  EXPECT_EQ(ReadNpy(path("arrays/attn.npy")).shape, (std::vector<Index>{12, 3, 2, 10}));

  const Json report = RunJson("report store --texts texts.txt --out report.html");
  EXPECT_EQ(report["format"], "cliplens.report/1");
  const std::string page = ReadTextFile(path("report.html"), 1 << 26);
  EXPECT_EQ(static_cast<Index>(page.size()), report["bytes"].get<Index>());
  EXPECT_EQ(page.find("http://"), std::string::npos);

  const Json embedded = RunJson("embed model --images pictures --out e.npy");
  EXPECT_EQ(embedded["shape"], (std::vector<Index>{12, 10}));
  const NpyArray rows = ReadNpy(path("e.npy"));
  const NpyArray stored = ReadNpy(path("arrays/embedding.npy"));
  EXPECT_EQ(rows.values, stored.values);
  EXPECT_EQ(RunJson("embed model --texts texts.txt --out t.npy --truncate")["items"].size(), 4u);

  const Json classes = RunJson(
      "classify model --images pictures --classes texts.txt "
      "--templates simple -k 2 --truncate");
  EXPECT_EQ(classes["format"], "cliplens.classify/1");
  EXPECT_EQ(classes["results"].size(), 12u);
  EXPECT_EQ(classes["results"][0]["top"].size(), 2u);

  const Json tokens = RunJson("tokenize model --texts texts.txt --truncate");
  ASSERT_EQ(tokens["texts"].size(), 4u);  // lines as they are, without the blank one
  EXPECT_EQ(tokens["texts"][2]["text"], "blue sky\tplace");
  EXPECT_EQ(tokens["texts"][3]["line"], 5);
  EXPECT_EQ(tokens["texts"][0]["ids"], (std::vector<int>{514, 513, 515}));

  const Json pixels = RunJson("preprocess model --image pictures/000.png --out p.npy");
  EXPECT_EQ(pixels["shape"], (std::vector<Index>{3, 21, 21}));
  EXPECT_EQ(ReadNpy(path("p.npy")).shape, (std::vector<Index>{3, 21, 21}));

  fs::create_directories(path("more"));
  fs::rename(path("pictures/003.png"), path("more/x.png"));
  fs::rename(path("pictures/004.png"), path("more/y.png"));
  EXPECT_EQ(RunJson("decompose model --images pictures --out a")["images"], 10);
  EXPECT_EQ(RunJson("decompose model --images more --out b")["images"], 2);
  const Json merged = RunJson("merge a b --out both");
  EXPECT_EQ(merged["format"], "cliplens.merge/1");
  EXPECT_EQ(merged["images"], 12);
  EXPECT_EQ(RunJson("report both --texts texts.txt --out both.html")["images"], 12);
}

TEST_F(CliTest, WhatPeopleSeeIsNotJson) {
  MakeData();
  const Outcome decomposed = Run("decompose model --images pictures --out store");
  EXPECT_EQ(decomposed.status, 0);
  EXPECT_NE(decomposed.out.find("12 pictures"), std::string::npos);
  EXPECT_NE(decomposed.out.find("certificate"), std::string::npos);
  EXPECT_EQ(decomposed.error, "");  // no progress bar where there is no terminal
  EXPECT_NE(Run("span store --texts texts.txt").out.find("L2.H1"), std::string::npos);
  EXPECT_NE(Run("span store --texts texts.txt --rank 80").out.find("(80 asked for"),
            std::string::npos);
  EXPECT_NE(Run("info model").out.find("fingerprint"), std::string::npos);
}

TEST_F(CliTest, TheSameBytesForAnyNumberOfThreads) {
  MakeData();
  Run("decompose model --images pictures --out store");
  for (const char* threads : {"1", "3"}) {
    const std::string t = threads;
    EXPECT_EQ(Run("span store --texts texts.txt --out s" + t + ".json --threads " + t).status, 0);
    EXPECT_EQ(Run("report store --texts texts.txt --out r" + t + ".html --threads " + t).status, 0);
  }
  EXPECT_EQ(ReadFile(path("s1.json"), 1 << 24), ReadFile(path("s3.json"), 1 << 24));
  EXPECT_EQ(ReadFile(path("r1.html"), 1 << 26), ReadFile(path("r3.html"), 1 << 26));
}

TEST_F(CliTest, BadModels) {
  MakeData();
  ExpectFailure("info nothing", 3, "nothing: no such model");
  ExpectFailure("info texts.txt", 4, "texts.txt: the header claims");
  ExpectFailure("info pictures", 3, "there is no open_clip_config.json and no config.json");
  ExpectFailure("info hf:nobody/nothing", 3, "get it: cliplens pull hf:nobody/nothing");
  ExpectFailure("info model --arch ViT-B-16", 2, "has a configuration of its own");
  ExpectFailure("info model/open_clip_model.safetensors", 2, "name the architecture with --arch");
  const Json bare =
      RunJson("info model/open_clip_model.safetensors --arch model/open_clip_config.json");
  EXPECT_EQ(bare["fingerprint"], RunJson("info model")["fingerprint"]);
  EXPECT_EQ(bare["layout"], "weights with open_clip names, safetensors");

  RandomModel wrong;
  wrong.shapes["visual.proj"] = {12, 11};
  wrong.Write(path("wrong"));
  ExpectFailure("info wrong", 4, "tensor 'visual.proj' has shape [12, 11]");
  const Json config = RandomModel{.width = 16}.Config();
  WriteFileAtomically(path("model/open_clip_config.json"), DumpJson(config));
  ExpectFailure("info model", 4, "the configuration asks for");

  RandomModel{}.Write(path("cut"));
  const fs::path weights = path("cut/open_clip_model.safetensors");
  const std::vector<std::uint8_t> bytes = ReadFile(weights, 1 << 24);
  WriteFileAtomically(weights, std::span(bytes).first(bytes.size() - 100));
  ExpectFailure("info cut", 4, "open_clip_model.safetensors");
  std::vector<std::uint8_t> huge = bytes;
  huge[7] = 0x10;  // a header of 2^60 bytes
  WriteFileAtomically(weights, huge);
  ExpectFailure("info cut", 4, "open_clip_model.safetensors");
  WriteFileAtomically(path("cut/open_clip_config.json"), std::string_view("{\"embed_dim\": "));
  ExpectFailure("info cut", 4, "open_clip_config.json");
}

TEST_F(CliTest, BadPicturesAndTextsLeaveNothing) {
  MakeData();
  ExpectFailure("decompose model --images nowhere --out store", 3, "nowhere");
  directory_.Write("empty/readme.md", "no pictures");
  ExpectFailure("decompose model --images empty --out store", 3, "empty");
  directory_.Write("fake/a.png", "this is no picture");
  ExpectFailure("decompose model --images fake --out store", 7, "a.png");
  ExpectFailure("embed model --images fake --out x.npy", 7, "a.png");
  const std::vector<std::uint8_t> png = ReadFile(path("pictures/000.png"), 1 << 24);
  fs::create_directories(path("cut"));
  WriteFileAtomically(path("cut/b.png"), std::span(png).first(png.size() - 40));
  ExpectFailure("decompose model --images cut --out store", 4, "b.png");
  EXPECT_FALSE(fs::exists(path("store")));
  EXPECT_FALSE(fs::exists(path("store.partial")));
  EXPECT_FALSE(fs::exists(path("x.npy")));

  Run("decompose model --images pictures --out store");
  directory_.Write("none.txt", "\n\n");
  ExpectFailure("span store --texts none.txt", 2, "none.txt: no texts in it");
  ExpectFailure("span store --texts missing.txt", 3, "missing.txt");
  directory_.Write("long.txt", "red\na very long text that has more than nine tokens\n");
  ExpectFailure("span store --texts long.txt", 2, "--truncate");
  ExpectFailure("tokenize model --texts long.txt", 2, "--truncate");
  EXPECT_EQ(Run("span store --texts long.txt --truncate").status, 0);
  ExpectFailure("span store --texts texts.txt --heads L7.H0", 2, "heads 'L7.H0': no such head");
  ExpectFailure("span store --texts texts.txt --out texts.txt", 5, "texts.txt: exists already");
  ExpectFailure("report store --texts texts.txt --out texts.txt", 5, "exists already");
  ExpectFailure("decompose model --images pictures --out store", 5, "store: exists already");
  ExpectFailure("decompose model --images pictures --out no/such/store", 3, "make its parent");
  ExpectFailure("export store --out pictures", 5, "pictures: exists already");
  ExpectFailure("embed model --images pictures --out texts.txt", 5, "exists already");
  ExpectFailure("span pictures --texts texts.txt", 3, "manifest.json");
  ExpectFailure("span nostore --texts texts.txt", 3, "nostore: no such store");
}

TEST_F(CliTest, PicturesThatCannotBeReadAreSkippedAndListed) {
  MakeData();
  Run("embed model --images pictures --out all.npy");
  directory_.Write("pictures/003.png", "no picture");
  directory_.Write("pictures/011.png", "");
  ExpectFailure("embed model --images pictures --out e.npy", 7, ".png");
  const Json embedded = RunJson("embed model --images pictures --out e.npy --on-error skip");
  EXPECT_EQ(embedded["shape"], (std::vector<Index>{10, 10}));
  EXPECT_EQ(embedded["items"][3], "004.png");
  EXPECT_EQ(embedded["skipped"].size(), 2u);
  EXPECT_EQ(embedded["skipped"][0]["path"], "003.png");
  const NpyArray all = ReadNpy(path("all.npy"));
  const NpyArray rows = ReadNpy(path("e.npy"));
  EXPECT_TRUE(std::equal(rows.values.begin() + 30, rows.values.end(), all.values.begin() + 40));
  const Json classes = RunJson(
      "classify model --images pictures --classes texts.txt --templates simple --truncate "
      "--on-error skip");
  EXPECT_EQ(classes["images"], 10);
  EXPECT_EQ(classes["results"][3]["path"], "004.png");
  EXPECT_EQ(classes["skipped"][1]["path"], "011.png");
  const Outcome seen = Run("decompose model --images pictures --out store --on-error skip");
  EXPECT_EQ(seen.status, 0);
  EXPECT_TRUE(seen.error.starts_with("cliplens: 2 of 12 pictures could not be read")) << seen.error;
  EXPECT_EQ(Run("verify store --model model").status, 0);
  fs::create_directories(path("none"));
  directory_.Write("none/a.png", "no picture");
  for (const char* verb : {"embed model --images none --out n.npy --on-error skip",
                           "decompose model --images none --out n --on-error skip",
                           "classify model --images none --classes texts.txt --templates simple "
                           "--truncate --on-error skip"}) {
    EXPECT_NE(Run(verb).status, 0) << verb;
  }
  EXPECT_FALSE(fs::exists(path("n.partial")));
  ExpectFailure("embed model --images none --out n.npy --on-error pass", 2, "--on-error");
}

TEST_F(CliTest, VerifyPrintsOneLineForEachProblem) {
  MakeData();
  Run("decompose model --images pictures --out store --shard-images 5");
  EXPECT_EQ(Run("verify store").out, "store: everything in it is as it should be\n");
  directory_.Write("store/shard-00001.safetensors", "cut");
  fs::remove(path("store/items-00002.jsonl"));
  const Outcome outcome = Run("verify store");
  EXPECT_EQ(outcome.status, 4);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 2) << outcome.error;
  const Outcome json = Run("verify store --json");
  EXPECT_EQ(json.status, 4);
  EXPECT_EQ(json.error, "");
  const Json problems = ParseJson(json.out, "standard output")["problems"];
  EXPECT_EQ(problems[0]["file"], "shard-00001.safetensors");
  EXPECT_EQ(problems[1]["file"], "items-00002.jsonl");
  EXPECT_EQ(problems[1]["code"], "not-found");
}

TEST_F(CliTest, AStoreOfAnotherModelIsRefused) {
  MakeData();
  Run("decompose model --images pictures --out store");
  RandomModel{.seed = 5}.Write(path("other"));
  ExpectFailure("span store --texts texts.txt --model other", 2, "fingerprint");
  // A store of a checkpoint file remembers the architecture too.
  Run("decompose model/open_clip_model.safetensors --arch model/open_clip_config.json "
      "--images pictures --out bare");
  EXPECT_EQ(Run("span bare --texts texts.txt").status, 0);
  fs::rename(path("model"), path("moved"));
  ExpectFailure("span store --texts texts.txt", 3, "--model");
  EXPECT_EQ(Run("span store --texts texts.txt --model moved").status, 0);
}

TEST_F(CliTest, AReportIsMadeWhenThePicturesAreGone) {
  MakeData();
  Run("decompose model --images pictures --out store");
  fs::rename(path("pictures"), path("elsewhere"));
  EXPECT_EQ(Run("report store --texts texts.txt --out without.html").status, 0);
  EXPECT_EQ(Run("report store --texts texts.txt --out with.html --images elsewhere").status, 0);
  EXPECT_LT(fs::file_size(path("without.html")), fs::file_size(path("with.html")));
}

TEST_F(CliTest, AFullStandardOutputIsAnError) {
  MakeData();
  const Outcome outcome = Run("info model >/dev/full");
  EXPECT_EQ(outcome.status, 6);
  EXPECT_NE(outcome.error.find("standard output"), std::string::npos);
}

TEST_F(CliTest, TheShippedModelIsFoundByName) {
  const Json info = RunJson("info pictureworld");
  EXPECT_EQ(info["name"], "pictureworld");
  EXPECT_EQ(info["heads"].size(), 36u);
}

TEST_F(CliTest, TheDemoEndsWithItsReportAndCertificate) {
  const Outcome outcome = Run("demo --out tour");
  EXPECT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_NE(outcome.out.find("report: tour/report.html\n"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("certificate: "), std::string::npos) << outcome.out;
  EXPECT_TRUE(fs::exists(path("tour/report.html")));
  EXPECT_EQ(ReadJsonFile(path("tour/span.json"))["heads"].size(), 36u);
  ExpectFailure("demo --out tour", 5, "tour: exists already");
}

TEST_F(CliTest, AShippedPoolGoesByItsNameUnlessAFileHasIt) {
  const auto embed = [&](const std::string& texts, const std::string& out) {
    return RunJson(fmt::format("embed pictureworld --texts {} --out {} --truncate", texts, out));
  };
  const Json shipped = embed("properties", "shipped.npy");
  EXPECT_GE(shipped["items"].size(), 900u);
  // By its path it is a file like any other, whose lines are texts.
  const Json lines = embed("'" + source("texts/properties.txt") + "'", "path.npy")["items"];
  ASSERT_EQ(lines.size(), shipped["items"].size());
  EXPECT_TRUE(
      lines[0].get<std::string>().starts_with(shipped["items"][0].get<std::string>() + "\t"));
  WriteFileAtomically(path("properties"), std::string("a picture of a duck\n"));
  EXPECT_EQ(embed("properties", "own.npy")["items"], Json({"a picture of a duck"}));
  ExpectFailure("embed pictureworld --texts no_pool --out x.npy", 3, "no_pool");
  ExpectFailure("embed pictureworld --texts ../properties --out x.npy", 3, "../properties");
}

// Pictures in folders named by their label, and classes for them.
class AccuracyTest : public CliTest {
 protected:
  AccuracyTest() {
    RandomModel{}.Write(path("model"));
    WriteRandomPictures(path("pictures/red"), 70, 21);
    WriteRandomPictures(path("pictures/blue"), 5, 25);
    directory_.Write("texts.txt", "red\na cat\nblue\n");
    directory_.Write("classes.txt", "red\nsky\tblue\n");
    Run("decompose model --images pictures --out store");
  }
  static constexpr const char* kAblate =
      "ablate store --classes classes.txt --templates simple "
      "--truncate";
  static constexpr const char* kReconstruct =
      "reconstruct store --texts texts.txt --classes classes.txt --templates simple --truncate "
      "--counts 1,2";
};

TEST_F(AccuracyTest, AblateAndReconstructPrintAndWriteTheSame) {
  const Json ablated = RunJson(std::string(kAblate) + " --out a.json --csv a.csv --svg a.svg");
  EXPECT_EQ(ablated["format"], "cliplens.ablate/2");
  EXPECT_EQ(ablated["images"], 75);
  EXPECT_EQ(ablated["rows"].size(), 4u);
  EXPECT_EQ(ablated["cumulative"].size(), 4u);
  EXPECT_EQ(ablated["components"].size(), 10u);
  EXPECT_EQ(ReadJsonFile(path("a.json")), ablated);
  EXPECT_TRUE(ReadTextFile(path("a.csv"), 1 << 20).starts_with("kind,name,"));
  EXPECT_TRUE(ReadTextFile(path("a.svg"), 1 << 20).ends_with("</svg>\n"));
  const Json made = RunJson(std::string(kReconstruct) + " --random 2 --out r.json --csv r.csv");
  EXPECT_EQ(made["format"], "cliplens.reconstruct/2");
  EXPECT_EQ(made["layers"], 3);  // 4 are asked for unless told otherwise, the model has 3
  EXPECT_EQ(made["heads"], 6);
  EXPECT_EQ(made["pools"].size(), 3u);
  EXPECT_EQ(made["pools"][2]["pool"]["name"], "random-2");
  EXPECT_EQ(ReadJsonFile(path("r.json")), made);
  EXPECT_NE(Run(kAblate).out.find("MLPs and INPUT replaced"), std::string::npos);
  EXPECT_NE(Run(kReconstruct).out.find("whole heads"), std::string::npos);
  for (const std::string verb : {kAblate, kReconstruct}) {
    ExpectFailure(verb + " --out a.json", 5, "a.json: exists already");
    ExpectFailure(verb + " --csv a.csv", 5, "a.csv: exists already");
  }
}

TEST_F(AccuracyTest, TheSameBytesForAnyNumberOfThreads) {
  for (const std::string verb : {kAblate, kReconstruct}) {
    const std::string one = Run(verb + " --json --threads 1").out;
    EXPECT_FALSE(one.empty());
    EXPECT_EQ(one, Run(verb + " --json --threads 2").out);
    EXPECT_EQ(one, Run(verb + " --json --threads 3").out);
  }
}

TEST_F(AccuracyTest, MeansAreOfAStoreOfTheSameModel) {
  WriteRandomPictures(path("more"), 4, 30);
  Run("decompose model --images more --out statistics --stats-only");
  const Json json = RunJson(std::string(kAblate) + " --means statistics");
  EXPECT_EQ(json["means"], "statistics");
  EXPECT_NE(json["rows"][1]["score"], RunJson(kAblate)["rows"][1]["score"]);
  RandomModel{.seed = 5}.Write(path("other"));
  Run("decompose other --images more --out foreign");
  ExpectFailure(std::string(kAblate) + " --means foreign", 2, "a store of the same model");
  ExpectFailure(std::string(kAblate) + " --means nothing", 3, "nothing: no such store");
}

TEST_F(AccuracyTest, WhatCannotBeMeasuredIsOneLine) {
  Run("decompose model --images pictures --out statistics --stats-only");
  Run("decompose model --images pictures/red --out bare");
  WriteRandomPictures(path("few/red"), 1, 21);
  Run("decompose model --images few --out few-store");
  directory_.Write("foreign.txt", "a fox\na hen\n");
  for (const std::string verb : {kAblate, kReconstruct}) {
    const auto with = [&](const std::string& from, const std::string& to) {
      std::string line = verb;
      return line.replace(line.find(from), from.size(), to);
    };
    ExpectFailure(with(" store ", " statistics "), 5, "statistics only");
    ExpectFailure(with(" store ", " bare "), 3, "no picture has a label");
    ExpectFailure(with("classes.txt", "foreign.txt"), 2, "the first class stands for 'a fox'");
    ExpectFailure(verb + " --label place", 3, "no picture has the attribute 'place'");
  }
  std::string one = kAblate;
  one.replace(one.find(" store "), 7, " few-store ");
  EXPECT_EQ(RunJson(one)["images"], 1);
  one = kReconstruct;
  one.replace(one.find(" store "), 7, " few-store ");
  ExpectFailure(one, 5, "decompose at least two");
  for (const auto& [counts, words] :
       {std::pair{"5,2", "must ascend"}, std::pair{"0", "--counts"}}) {
    std::string line = kReconstruct;
    ExpectFailure(line.replace(line.find("1,2"), 3, counts), 2, words);
  }
}

TEST_F(AccuracyTest, OneClassAndOneText) {
  directory_.Write("one.txt", "red\n");
  const Json ablated = RunJson("ablate store --classes one.txt --templates simple --truncate");
  EXPECT_EQ(ablated["images"], 70);
  EXPECT_EQ(ablated["labels_not_among_classes"], 5);
  EXPECT_EQ(ablated["rows"][3]["accuracy"]["value"], 1.0);
  const Json made = RunJson(
      "reconstruct store --texts one.txt --classes classes.txt --templates simple --truncate "
      "--counts 1,60 --random 1");
  EXPECT_EQ(made["pools"][0]["rows"][1]["distinct_texts"], 1);
}

TEST_F(CliTest, LabelsAndAttributesOfShardsGiveAccuracy) {
  const Json objects = RunJson(
      fmt::format("classify pictureworld --images '{}' --classes '{}' --templates '{}' -k 1",
                  source("world/sets/single"), source("world/texts/objects.txt"),
                  source("world/texts/objects.templates.txt")));
  EXPECT_EQ(objects["labelled"], 150);
  EXPECT_GT(objects["accuracy"].get<double>(), 0.5);
  const Json styles = RunJson(fmt::format(
      "classify pictureworld --images '{}' --classes '{}' --templates '{}' -k 1 --label style",
      source("world/sets/single"), source("world/texts/styles.txt"),
      source("world/texts/styles.templates.txt")));
  EXPECT_EQ(styles["labelled"], 150);
  EXPECT_GT(styles["accuracy"].get<double>(), 0.5);
  ExpectFailure(fmt::format("classify pictureworld --images '{}' --classes '{}' --label nothing",
                            source("world/sets/single"), source("world/texts/styles.txt")),
                3, "'nothing'");
}

TEST_F(CliTest, HeatMapsAddUpAndNothingHalfDoneStays) {
  MakeData();
  const std::string on = "heatmap model --image pictures/000.png ";
  const Json json = RunJson(on + "--text red --text 'a cat' --out map.png --npy map.npy");
  EXPECT_EQ(json["format"], "cliplens.heatmap/1");
  const NpyArray npy = ReadNpy(path("map.npy"));
  EXPECT_EQ(npy.shape, (std::vector<Index>{2, 3, 3}));
  for (std::size_t m = 0; m < 2; ++m) {
    const Json& map = json["maps"][m];
    double sum = 0;
    for (std::size_t i = 0; i < 9; ++i) {
      const double v = map["map"][i / 3][i % 3].get<double>();
      EXPECT_NEAR(npy.values[9 * m + i], v, 1e-7);
      sum += v;
    }
    for (const auto& [name, v] : map["rest"].items()) sum += v.get<double>();
    EXPECT_NEAR(sum, map["score"].get<double>(), 1e-5);
  }
  const auto bytes = ReadFile(path("map.png"), 1 << 24);
  EXPECT_GT(DecodeImage(bytes, "map.png").width, 500);
  // Another number of threads, the same bytes.
  RunJson(on + "--text red --text 'a cat' --out map1.png --threads 1");
  EXPECT_EQ(ReadFile(path("map1.png"), 1 << 24), bytes);

  const Json ab = RunJson(on + "--text red --against 'a cat'");
  const Json ba = RunJson(on + "--text 'a cat' --against red");
  EXPECT_EQ(ab["map"][1][2].get<double>(), -ba["map"][1][2].get<double>());
  EXPECT_EQ(ab["score"].get<double>(), -ba["score"].get<double>());

  // The contrasts of all classes with their mean cancel.
  directory_.Write("classes.txt", "red\ncat\nsky\n");
  directory_.Write("plain.txt", "{}\n");
  const Json classes = RunJson(on +
                               "--text red --text cat --text sky --against-classes classes.txt "
                               "--templates plain.txt --heads last-1");
  double total = 0;
  for (const Json& map : classes["maps"]) total += map["map"][0][0].get<double>();
  EXPECT_NEAR(total, 0, 1e-7);
  EXPECT_EQ(classes["maps"][0]["heads"], (std::vector<std::string>{"L2.H0", "L2.H1"}));

  // A text of a head, through that head.
  RunJson("decompose model --images pictures --out store");
  const Json span = RunJson("span store --texts texts.txt --out span.json");
  const Json one = RunJson(on + "--direction L2.H1:2 --span span.json");
  EXPECT_EQ(one["text"], span["heads"][5]["texts"][1]["text"]);
  EXPECT_EQ(one["maps"][0]["heads"], std::vector<std::string>{"L2.H1"});

  ExpectFailure(on + "--text red", 2, "nowhere to put the map");
  ExpectFailure(on + "--text red --out map.png", 5, "map.png");
  ExpectFailure(on + "--out x.png", 2, "give --text");
  ExpectFailure(on + "--text '' --out x.png", 2, "has no word");
  ExpectFailure(on + "--text ' ' --out x.png", 2, "has no word");
  ExpectFailure(on + "--text red --against cat --against-classes classes.txt --out x.png", 2,
                "--against");
  ExpectFailure(on + "--text red --templates simple --out x.png", 2, "--against-classes");
  ExpectFailure(on + "--text red --heads L9.H0 --out x.png", 2, "L9");
  ExpectFailure(on + "--text red --property colour --out x.png", 2, "needs --labels");
  ExpectFailure(on + "--text red --scale none --out x.png", 2, "--scale none");
  ExpectFailure(on + "--text red --scale 0 --out x.png", 2, "--scale 0");
  ExpectFailure(on + "--direction L2.H1:2 --out x.png", 2, "go together");
  ExpectFailure(on + "--direction L2.H1:99 --span span.json --out x.png", 3, "has 4 texts");
  ExpectFailure(on + "--direction L2.H1:x --span span.json --out x.png", 2, "second text");
  ExpectFailure(on + "--direction L2.H1 --span texts.txt --out x.png", 4, "texts.txt");
  ExpectFailure("heatmap model --image texts.txt --text red --out x.png", 7, "texts.txt");
  ExpectFailure("heatmap model --image none.png --text red --out x.png", 3, "none.png");
  ExpectFailure(on + "--text red --out none/x.png", 3, "none");
  EXPECT_FALSE(fs::exists(path("x.png")));
}

TEST_F(CliTest, ExplanationsAddUp) {
  MakeData();
  directory_.Write("classes.txt", "red\ncat\nsky\n");
  directory_.Write("plain.txt", "{}\n");
  directory_.Write("two.txt", "{}\na {}\n");
  const std::string on = "explain model --image pictures/000.png ";
  const auto check = [](const Json& json) {
    EXPECT_EQ(json["format"], "cliplens.explain/1");
    const double score = json["score"].get<double>();
    double components = 0, pairs = 0, words = 0;
    for (const Json& c : json["components"]) components += c["score"].get<double>();
    for (const Json& row : json["patch_word"]) {
      for (const Json& v : row) pairs += v.get<double>();
    }
    for (const Json& word : json["words"]) words += word["score"].get<double>();
    for (const auto& [name, v] : json["rest"].items()) pairs += v.get<double>();
    EXPECT_NEAR(components, score, 1e-5);
    EXPECT_NEAR(pairs, score, 1e-5);
    EXPECT_NEAR(words, score, 1e-5);
  };
  const Json text = RunJson(on + "--text 'red cat' --out why.png");
  check(text);
  EXPECT_EQ(text["words"][1]["text"], "red");
  EXPECT_EQ(text["words"][2]["text"], "cat");
  EXPECT_EQ(text["components"].size(), 3u * 2 + 4);
  EXPECT_FALSE(text.contains("against"));
  EXPECT_GT(DecodeImage(ReadFile(path("why.png"), 1 << 24), "why.png").width, 500);
  EXPECT_NE(Run(on + "--text 'red cat'").out.find("differs from the score by"), std::string::npos);

  // The best class against the runner-up is what 'classify' says.
  const Json best = RunJson(on + "--classes classes.txt --templates plain.txt");
  check(best);
  const Json answer = RunJson(
      "classify model --images pictures/000.png --classes classes.txt --templates "
      "plain.txt -k 2")["results"][0]["top"];
  EXPECT_EQ(best["text"], answer[0]["class"]);
  EXPECT_EQ(best["against"], answer[1]["class"]);
  EXPECT_EQ(best["against_kind"], "runner-up");
  EXPECT_NEAR(best["score"].get<double>(),
              answer[0]["similarity"].get<double>() - answer[1]["similarity"].get<double>(), 1e-6);
  const Json mean =
      RunJson(on + "--classes classes.txt --templates two.txt --class cat --against mean");
  check(mean);
  EXPECT_EQ(mean["text"], "cat");
  EXPECT_EQ(mean["words"][0]["kind"], "whole");
  check(RunJson(on + "--text red --against cat"));

  // The report shows them.
  RunJson("decompose model --images pictures --out store");
  RunJson(
      "report store --texts texts.txt --image pictures/000.png --text 'red cat' --text sky "
      "--out page.html");
  EXPECT_NE(ReadTextFile(path("page.html"), 1 << 24).find("id=\"scores\""), std::string::npos);
  ExpectFailure("report store --texts texts.txt --text red --out x.html", 2, "--image");

  ExpectFailure(on + "--out x.png", 2, "give --text");
  ExpectFailure(on + "--text '' --out x.png", 2, "give --text");
  ExpectFailure(on + "--text ' ' --out x.png", 2, "has no word");
  ExpectFailure(on + "--text red --classes classes.txt --out x.png", 2, "--classes");
  ExpectFailure(on + "--text red --class cat --out x.png", 2, "--classes");
  ExpectFailure(on + "--classes classes.txt --templates plain.txt --class dog --out x.png", 3,
                "no class 'dog'");
  ExpectFailure(on + "--classes classes.txt --templates plain.txt --against dog --out x.png", 3,
                "no class 'dog'");
  directory_.Write("one.txt", "red\n");
  ExpectFailure(on + "--classes one.txt --templates plain.txt --out x.png", 2, "no runner-up");
  ExpectFailure(on + "--text red --labels texts.txt --out x.png", 4, "texts.txt");
  ExpectFailure(on + "--text red --out why.png", 5, "why.png");
  ExpectFailure("explain model --image none.png --text red --out x.png", 3, "none.png");
  EXPECT_FALSE(fs::exists(path("x.png")));
}

}  // namespace
}  // namespace cliplens
