package config

var known []Row
