// Package langs holds the stories of README.md, told by clients of other languages: each is a program of ours (python,
// node, java) that plays one role and says on standard output what it did; the tests here start brokers and programs,
// kill both, and judge. `setup` installs the clients, and the build tag langs says that it has run.
package langs
