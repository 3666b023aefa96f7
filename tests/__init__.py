"""Tests of grokstudy; real trainings and real files throughout."""
